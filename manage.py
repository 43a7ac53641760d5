#!/usr/bin/env python
"""Django's command line for Saga, in a checkout."""

from saga_project.__main__ import main

if __name__ == "__main__":
    main()
