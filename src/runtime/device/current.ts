/**
 * The current stream and the current device of the calling code. This file may import only the types of streams and
 * devices, because both import it.
 */
import { mustBe } from "../../common/check.js"
import { AuxstreamError } from "../../common/errors.js"
import { StreamState } from "../order/stream-state.js"
import { type Context, context } from "./context.js"
import type { Device } from "./device.js"
import type { Stream } from "./stream.js"

/** The open devices, by id. */
export const openDevices = new Map<string, Device>()

/** The only open device. @throws AuxstreamError AUX_AMBIGUOUS_DEVICE if none or several are open */
export function onlyOpenDevice(): Device {
  const [first, second] = openDevices.values()
  if (first !== undefined && second === undefined) return first
  throw new AuxstreamError(
    "AUX_AMBIGUOUS_DEVICE",
    first === undefined
      ? "No device is open. Call openDevice() first."
      : `Several devices are open (${[...openDevices.keys()].join(", ")}). Name a stream, or call this inside stream.run().`,
  )
}

/** The current stream, for the library itself. The public function is in `current-stream.ts`. */
export function currentStream(device: Device = currentDevice()): Stream {
  return currentStreamIn(context(), device)
}

/** @internal Like {@link currentStream}, for callers that already have the context. */
export function currentStreamIn(here: Context, device: Device): Stream {
  const { stream } = here
  if (stream !== undefined && stream.device === device && here.capture === undefined) return stream
  return otherStreamIn(here, device)
}

function otherStreamIn(here: Context, device: Device): Stream {
  const stream: Stream | undefined = here.streamOf(device) ?? device?.defaultStream
  if (!(stream?.state instanceof StreamState)) throw mustBe("device", "a Device or undefined", device)
  if (here.capture !== undefined) device.order.captures.checkNotOver(here.capture, stream.name)
  return stream
}

/** The device that receives work if the caller names none. */
export function currentDevice(): Device {
  return context().stream?.device ?? onlyOpenDevice()
}

/** Throws unless the value is a stream of the device. `other` is the object that the stream must share the device with. */
export function checkStreamOf(device: Device, stream: unknown, other: string): asserts stream is Stream {
  if (!isStream(stream)) {
    throw mustBe("stream", "a Stream", stream)
  }
  if (stream.device === device) return
  stream.device.checkUsable()
  device.checkUsable()
  throw new AuxstreamError(
    "AUX_DEVICE_MISMATCH",
    `${stream.name} must be on the device of ${other}, ${device.id}; got a stream of ${stream.device.id}`,
  )
}

/** Whether the value is a Stream. This file cannot use `instanceof`, because it may not import the class. */
function isStream(value: unknown): value is Stream {
  return typeof value === "object" && value !== null && "state" in value && value.state instanceof StreamState
}
