import { AuxstreamError } from "../../common/errors.js"

/** The error of a device that cannot be used: its message is the one sentence that `listDevices()` shows, too. */
export function unavailable(sentence: string): AuxstreamError {
  return new AuxstreamError("AUX_DEVICE_UNAVAILABLE", sentence)
}
