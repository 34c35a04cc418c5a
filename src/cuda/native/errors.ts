import { AuxstreamError } from "../../common/errors.js"

/** The error for a device that cannot be used. `listDevices()` shows the same sentence. */
export function unavailable(sentence: string): AuxstreamError {
  return new AuxstreamError("AUX_DEVICE_UNAVAILABLE", sentence)
}
