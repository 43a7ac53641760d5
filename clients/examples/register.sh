#!/bin/sh
# Keep a service registered: register, send heartbeats, register again when Saga has forgotten it, deregister on SIGTERM.
# Needs curl. Usage: SAGA_URL=http://127.0.0.1:8030 SAGA_TOKEN=… register.sh NAME URL
set -u
NAME=$1 URL=$2
API=${SAGA_URL:-http://127.0.0.1:8030}/api/v1
SECONDS_BETWEEN=${HEARTBEAT_SECONDS:-20}

call() { # METHOD PATH [BODY]: prints the status, 000 where there is no answer
  curl --silent --output /dev/null --max-time 5 --write-out '%{http_code}' --request "$1" "$API$2" \
    ${SAGA_TOKEN:+--header "Authorization: Bearer $SAGA_TOKEN"} \
    ${3:+--header "Content-Type: application/json" --data "$3"}
}

register() { call POST /services/register '{"service_name": "'"$NAME"'", "service_url": "'"$URL"'", "ttl": 60}'; }

leave() {
  call DELETE "/services/$NAME?instance_id=default" > /dev/null
  exit 0
}
trap leave TERM INT

register > /dev/null
while :; do
  sleep "$SECONDS_BETWEEN" &
  wait $! # a signal ends the wait at once
  STATUS=$(call POST "/services/$NAME/heartbeat")
  case $STATUS in
    400 | 404) register > /dev/null ;; # Saga has forgotten it
  esac # anything else: Saga is away, or all is well; try again next time
done
