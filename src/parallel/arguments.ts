import { mustBe, quoted } from "../common/check.js"
import { AuxstreamError, DisposedError } from "../common/errors.js"
import { Event, timedInCapture } from "../runtime/device/event.js"
import { Stream } from "../runtime/device/stream.js"

/** Throws unless the value is a stream that work can be queued on. */
export function checkAuxStream(stream: unknown, what: string): asserts stream is Stream {
  if (!(stream instanceof Stream) || stream.state.disposed) throw refusedStream(stream, what)
}

function refusedStream(stream: unknown, what: string): Error {
  return stream instanceof Stream
    ? new DisposedError(`${quoted(what)} (${stream.name}) was disposed of. Make another with device.createStream().`)
    : mustBe(what, "a Stream or null", stream)
}

/** Throws unless the value is an event that a fork-join of the current stream can record and wait for. */
export function checkJoinEvent(event: unknown, what: string, main: Stream): asserts event is Event {
  if (!(event instanceof Event) || event.state.disposed || event.device !== main.device) {
    throw refusedEvent(event, what, main)
  }
  if (event.state.timing && main.state.capture !== undefined) throw timedInCapture(event.name)
}

function refusedEvent(event: unknown, what: string, main: Stream): Error {
  if (!(event instanceof Event)) {
    return mustBe(what, "an Event if there is an aux stream", event, "Make one with device.createEvent()")
  }
  if (event.disposed) {
    return new DisposedError(`${quoted(what)} (${event.name}) was disposed of. Make another with device.createEvent().`)
  }
  return new AuxstreamError(
    "AUX_DEVICE_MISMATCH",
    `${quoted(what)} must be an event of the aux stream's device, ${main.device.id}; got one of ${event.device.id}`,
  )
}
