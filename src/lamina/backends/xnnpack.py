"""XNNPACK is not there."""

enabled: bool = False
