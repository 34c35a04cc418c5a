import { AuxstreamError } from "../../common/errors.js"

/** The error for a device that cannot be used. `listDevices()` shows the same sentence. */
export function unavailable(sentence: string): AuxstreamError {
  return new AuxstreamError("AUX_DEVICE_UNAVAILABLE", sentence)
}

/** The error for an event in a foreign capture. The runtime itself refuses events in our own captures. */
export function recordedInCapture(cause?: unknown): AuxstreamError {
  return new AuxstreamError(
    "AUX_STREAM_CAPTURING",
    "The event was recorded on a stream that another library was capturing. It marks a point in that library's graph and " +
      "cannot be queried or waited for. Record it again after the capture has ended.",
    { cause },
  )
}
