/** The one call that would order the two accesses of a race. */
import { Stream } from "../../runtime/device/stream.js"
import type { StreamState } from "../../runtime/order/stream-state.js"
import type { RaceFix } from "./data-race-error.js"
import type { History } from "../history/history.js"
import type { Lane } from "../history/lane.js"
import { lineOf } from "../source/stack.js"
import { definite, nameOf } from "./words.js"
import type { PastAccess, QueuedOperation } from "../history/past-access.js"

/** The operation that must wait, with its lane: the conditional, if the two accesses are inside and outside of its body. */
interface Place {
  readonly history: History
  readonly lane: Lane
  readonly isConditional: boolean
}

export function fixOf(queued: QueuedOperation, history: History, past: PastAccess): RaceFix {
  const place = placeOf(queued, history, past)
  const line = lineOf(queued.stack)
  const what = place.isConditional ? "the call of runIf() or runWhile() around it" : definite(queued)
  const before = line === undefined || place.isConditional ? what : `${what} at ${line}`
  const recording = recordingLane(place, past)
  const waiting = streamOf(place.lane.stream)
  const recorder = recording && streamOf(recording.stream)
  if (waiting === undefined || recorder === undefined) return withoutStreams(before, history)
  const [a, b] = variables(recorder, waiting)
  const call = `${b.name}.wait(${a.name}.record())`
  const unknown = [a, b]
    .filter(({ isKnown }) => !isKnown)
    .map(({ name, stream }) => `${name} is ${nameOf(stream.state)}`)
  const where = unknown.length === 0 ? "" : `, where ${unknown.join(" and ")}`
  const text = `Before ${before}, call ${call}${where}.`
  return { text, call, before, waiting, recording: recorder }
}

/** The wait belongs into the captured function, whose streams are not known any more. */
export function fixInGraph(
  current: { readonly operation: string; readonly stream: string },
  previous: { readonly operation: string; readonly stream: string },
): RaceFix {
  const before = current.operation
  const call = "b.wait(a.record())"
  const text =
    `In the captured function, before ${before}, call ${call}, where a is the stream of ${previous.operation} and b is the ` +
    `stream of ${before}. Or give one of the two other arrays.`
  return { text, call, before, waiting: undefined, recording: undefined }
}

/** No stream that is still there comes after the earlier access. */
function withoutStreams(before: string, history: History): RaceFix {
  const isCaptured = history.isCapture
  const call = isCaptured ? "fork.join()" : "device.synchronize()"
  const text = isCaptured
    ? `Before ${before}, join the fork that made the earlier access.`
    : `Before ${before}, make its stream wait for the earlier access while that one's stream is still in use, or call ${call}.`
  return { text, call, before, waiting: undefined, recording: undefined }
}

/** In which history the two meet. */
function placeOf({ lane }: QueuedOperation, history: History, past: PastAccess): Place {
  let place: Place = { history, lane, isConditional: false }
  while (!place.history.has(past.operation.lane)) {
    const { around } = place.history
    if (around === undefined) break
    place = { ...around, isConditional: true }
  }
  return place
}

/** A stream whose record comes after the access: its own, or another one that has waited for it. */
function recordingLane({ history, lane }: Place, { operation }: PastAccess): Lane | undefined {
  const isUsable = (one: Lane) =>
    one !== lane && one.stream !== lane.stream && !one.stream.disposed && one.stream.id !== 0
  const comesAfter = (one: Lane) => one === operation.lane || one.clock.isAfter(operation.lane.slot, operation.tick)
  const lanes = [...history.lanes].filter((one) => isUsable(one) && comesAfter(one))
  const own = lanes.find((one) => one === operation.lane)
  if (own !== undefined && !isFromPool(own)) return own
  return lanes.find((one) => !isFromPool(one)) ?? own ?? lanes[0]
}

/** The program has no variable for a stream of the pool. */
function isFromPool({ stream: { chosen, name } }: Lane): boolean {
  return chosen && name.startsWith("pool stream ")
}

function streamOf({ owner }: StreamState): Stream | undefined {
  return owner instanceof Stream ? owner : undefined
}

/** What a stream is called in code. */
interface Variable {
  readonly stream: Stream
  readonly name: string
  /** Whether the program gave the stream this name. */
  readonly isKnown: boolean
}

/** The names of the two streams: those that the program gave them if these could be variables, otherwise a and b. */
function variables(recording: Stream, waiting: Stream): [recording: Variable, waiting: Variable] {
  const [known, other] = [variable(recording), variable(waiting)]
  const isClear = known !== other
  const a = isClear ? known : undefined
  const b = isClear ? other : undefined
  return [
    { stream: recording, name: a ?? (b === "a" ? "a2" : "a"), isKnown: a !== undefined },
    { stream: waiting, name: b ?? (a === "b" ? "b2" : "b"), isKnown: b !== undefined },
  ]
}

function variable({ name, state }: Stream): string | undefined {
  if (state.chosen) return name === "the default stream" ? "device.defaultStream" : undefined
  return /^[A-Za-z_$][\w$]*$/.test(name) ? name : undefined
}
