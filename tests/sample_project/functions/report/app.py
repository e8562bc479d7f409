"""Reports at the full minute."""


def handler(event, context):
    print(f"report for {event['time']}")
