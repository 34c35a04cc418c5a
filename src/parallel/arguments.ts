import { AuxstreamError, DisposedError } from "../common/errors.js"
import { Event, timedInCapture } from "../runtime/device/event.js"
import { show } from "../common/show.js"
import { Stream } from "../runtime/device/stream.js"

/** Refuses what is no stream that can be queued on. */
export function checkAuxStream(stream: unknown, what: string): asserts stream is Stream {
  if (!(stream instanceof Stream) || stream.state.disposed) throw refusedStream(stream, what)
}

function refusedStream(stream: unknown, what: string): Error {
  return stream instanceof Stream
    ? new DisposedError(`${what} (${stream.name}) was disposed of; make another with device.createStream()`)
    : new AuxstreamError("AUX_INVALID_ARGUMENT", `${what} is ${show(stream)}; it is a Stream, or null`)
}

/** Refuses what cannot be recorded and waited for in a fork-join of the current stream. */
export function checkJoinEvent(event: unknown, what: string, main: Stream): asserts event is Event {
  if (!(event instanceof Event) || event.state.disposed || event.device !== main.device) {
    throw refusedEvent(event, what, main)
  }
  if (event.state.timing && main.state.capture !== undefined) throw timedInCapture(event.name)
}

function refusedEvent(event: unknown, what: string, main: Stream): Error {
  if (!(event instanceof Event)) {
    return new AuxstreamError(
      "AUX_INVALID_ARGUMENT",
      `${what} is ${show(event)}; with an aux stream it is an Event: make one with device.createEvent()`,
    )
  }
  if (event.disposed) {
    return new DisposedError(`${what} (${event.name}) was disposed of; make another with device.createEvent()`)
  }
  return new AuxstreamError(
    "AUX_DEVICE_MISMATCH",
    `${what} is of ${event.device.id}, the aux stream of ${main.device.id}; use an event of the stream's device`,
  )
}
