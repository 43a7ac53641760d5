"""What many teams write instead: a registry of fifty lines, FastAPI over redis.asyncio, nothing durable."""

from __future__ import annotations

import datetime as dt
import os
import uuid
from typing import Annotated, Any

import orjson
import redis.asyncio
from fastapi import Body, FastAPI, Response

TTL_SECONDS = 3600
app = FastAPI()
store = redis.asyncio.Redis.from_url(os.environ["PEER_REDIS_URL"])


def _now() -> str:
    return dt.datetime.now(dt.UTC).isoformat(timespec="microseconds")


def _json(document: Any, status: int = 200) -> Response:
    return Response(orjson.dumps(document), status, media_type="application/json")


@app.post("/api/v1/services/register")
async def register(body: Annotated[dict[str, Any], Body()]) -> Response:
    row = {
        "service_name": body["service_name"],
        "service_url": body["service_url"],
        "service_id": str(uuid.uuid4()),
        "registered_at": _now(),
        "last_heartbeat": _now(),
        "capabilities": body.get("capabilities", []),
    }
    await store.set(f"service:{row['service_name']}", orjson.dumps(row), ex=TTL_SECONDS)
    return _json({**row, "ttl": TTL_SECONDS})


@app.post("/api/v1/services/heartbeat")
async def bulk_heartbeat(body: Annotated[dict[str, Any], Body()]) -> Response:
    pipeline = store.pipeline(transaction=False)
    for name in body["services"]:
        pipeline.expire(f"service:{name}", TTL_SECONDS)
    answers = await pipeline.execute()
    missing = [name for name, there in zip(body["services"], answers, strict=True) if not there]
    return _json({"refreshed": sum(answers), "ttl": TTL_SECONDS, "missing": missing})


@app.get("/api/v1/services")
async def all_services() -> Response:
    keys = [key async for key in store.scan_iter("service:*", count=1000)]
    rows = [row for row in await store.mget(keys) if row] if keys else []
    content = b'{"services":[%b],"total":%d}' % (b",".join(rows), len(rows))
    return Response(content, media_type="application/json")


@app.get("/api/v1/services/{name}")
async def one_service(name: str) -> Response:
    row = await store.get(f"service:{name}")
    if row is None:
        return _json({"error": "Service not found"}, 404)
    return Response(row, media_type="application/json")


@app.post("/api/v1/services/{name}/heartbeat")
async def heartbeat(name: str) -> Response:
    if not await store.expire(f"service:{name}", TTL_SECONDS):
        return _json({"error": "Service not found"}, 400)
    return _json({"service_name": name, "message": "refreshed", "ttl": TTL_SECONDS})
