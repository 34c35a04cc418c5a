import { AuxstreamError, DisposedError } from "../runtime/errors.js"
import { Event } from "../runtime/event.js"
import { show } from "../runtime/show.js"
import { Stream } from "../runtime/stream.js"

/** Refuses what is no stream that can be queued on. */
export function checkAuxStream(stream: unknown, what: string): asserts stream is Stream {
  if (!(stream instanceof Stream)) {
    throw new AuxstreamError("AUX_INVALID_ARGUMENT", `${what} is ${show(stream)}; it is a Stream, or null`)
  }
  if (stream.disposed) {
    throw new DisposedError(`${what} (${stream.name}) was disposed of; make another with device.createStream()`)
  }
}

/** Refuses what is no event of the stream's device. */
export function checkJoinEvent(event: unknown, what: string, stream: Stream): asserts event is Event {
  if (!(event instanceof Event)) {
    throw new AuxstreamError(
      "AUX_INVALID_ARGUMENT",
      `${what} is ${show(event)}; with an aux stream it is an Event: make one with device.createEvent()`,
    )
  }
  if (event.disposed) {
    throw new DisposedError(`${what} (${event.name}) was disposed of; make another with device.createEvent()`)
  }
  if (event.device === stream.device) return
  throw new AuxstreamError(
    "AUX_DEVICE_MISMATCH",
    `${what} is of ${event.device.id}, the aux stream of ${stream.device.id}; use an event of the stream's device`,
  )
}
