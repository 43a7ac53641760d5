"""What must not go wrong, tried hundreds of times: ``python -m bench.faults.crashes`` and its neighbours."""
