"""OpenVINO without its telemetry: when it is imported it reports that to a statistics service on the internet.

Import it from here alone. It goes without the telemetry package where there is none, so it is told that there is none.
"""

import sys

sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]

import openvino  # noqa: E402
from openvino import opset6, opset15  # noqa: E402
from openvino._offline_transformations import paged_attention_transformation  # noqa: E402

__all__ = ["openvino", "opset6", "opset15", "paged_attention_transformation"]
