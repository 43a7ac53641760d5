"""Keep a service registered with the library, which does all of it.

Usage: SAGA_URL=http://127.0.0.1:8030 SAGA_TOKEN=… python register.py NAME URL
"""

import signal
import sys

from saga_client import Saga


def main() -> None:
    name, url = sys.argv[1:]
    with Saga().registered(name, url, ttl=5, instance_id="default"):
        signal.pause()  # your service runs here


if __name__ == "__main__":
    main()
