"""Packs the orders that messages name."""

import base64

from shop.prices import price


def handler(event, context):
    for messages in event["rmqMessagesByQueue"].values():
        for message in messages:
            number = int(base64.b64decode(message["data"]))
            print(f"packed order {number} worth {price(number)}")
