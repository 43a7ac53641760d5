"""``python -m saga_client`` is the command ``saga``."""

from saga_client.command_line import main

if __name__ == "__main__":
    main.main()
