"""Outbound webhooks: claim what is due, send it, classify the answer, record it, schedule the next attempt.

``claims`` leases deliveries, ``sender`` makes one attempt without a database, ``records`` keeps what came
of it, ``drain`` runs many of them at once. What a killed worker had in hand is sent again when its
lease ends, with the same message id.
"""
