/** Other streams, forks and fork-joins. */
import {
  currentStream,
  executeInParallel,
  fork,
  maybeExecuteInParallel,
  parallel,
  withMultiStream,
} from "../../../../src/index.js"
import { type Before, nothing } from "../model/order.js"
import type { Action, Body, Named, OfKind, Statement } from "../program.js"
import type { KnownFork, Local, Place } from "./place.js"
import type { Steps } from "./schedule.js"
import { rest } from "./rest.js"
import { calling, type Setting } from "./setting.js"

type Kinds = { readonly [K in Statement["kind"]]: OfKind<Statement, K> }

export class Branches {
  readonly #setting: Setting
  readonly #locals: readonly Local[]

  constructor(setting: Setting, locals: readonly Local[]) {
    this.#setting = setting
    this.#locals = locals
  }

  *run(
    statement: Kinds["on" | "fresh" | "fork" | "join" | "leases" | "parallel" | "off" | "otherDevice"],
    place: Place,
  ): Steps {
    switch (statement.kind) {
      case "on":
        return yield* this.#on(statement, place)
      case "fresh":
        return yield* this.#fresh(statement, place)
      case "fork":
        return this.#fork(statement, place)
      case "join": {
        const known = place.local.forks[statement.fork % Math.max(1, place.local.forks.length)]
        return known && (yield* this.join(known, place, statement))
      }
      case "leases":
        return yield* this.#leases(statement, place)
      case "parallel":
        return yield* this.#parallel(statement, place)
      case "off":
        return yield* this.#inside((fn) => withMultiStream(false, fn), statement.body, place)
      case "otherDevice":
        return yield* this.#otherDevice(statement, place)
    }
  }

  /** Calls a function of the library with a body, in the same place or another one. */
  *#inside(call: (fn: () => unknown) => unknown, body: Body, place: Place): Steps {
    const isAsync = place.isAsync && body.isAsync
    const result = call(this.#setting.function(body, { ...place, isAsync }))
    if (isAsync) yield calling(result, () => {})
  }

  *#on({ stream, body }: Kinds["on"], place: Place): Steps {
    const path = this.#setting.path(stream, place)
    yield* this.#inside((fn) => path.stream.run(fn), body, this.#setting.with(place, path))
  }

  *#fresh({ waits, joins, body }: Kinds["fresh"], place: Place): Steps {
    const path = place.local.path(place.local.world.device.createStream())
    const { stream, lane } = path
    const current = this.#setting.current(place)
    if (waits || place.capture !== undefined) {
      stream.wait(current.stream)
      this.#setting.model.order.wait(lane, current.lane.before)
    }
    yield* this.#inside((fn) => stream.run(fn), body, this.#setting.with(place, path))
    if (joins) this.#setting.wait(current, lane.before, () => current.stream.wait(stream))
    // An async fork inside may use it until the end of the program.
    const made = place.isAsync && body.isAsync ? place.local.made : place.capture?.made
    if (made === undefined) stream.dispose()
    else made.push(stream)
  }

  *#otherDevice({ body }: Kinds["otherDevice"], place: Place): Steps {
    const other = this.#locals.find((one) => one !== place.local)
    if (other === undefined || place.capture !== undefined) return
    const there = { ...place, local: other }
    const path = this.#setting.current(there)
    yield* this.#inside((fn) => path.stream.run(fn), body, there)
  }

  /** The place of a branch: on the stream that is current there, after `start` unless this is the caller's stream. */
  #branch(place: Place, start: Before): Place {
    const stream = currentStream(place.local.world.device)
    const current = this.#setting.current(place)
    if (stream === current.stream) return place
    const named = place.local.streams.find((path) => path.stream === stream)
    const path = named ?? place.local.path(stream)
    this.#setting.model.order.wait(path.lane, start)
    return this.#setting.with(place, path)
  }

  #fork({ stream, body }: Kinds["fork"], place: Place): void {
    const named = stream === undefined || place.capture?.isBody === true ? undefined : place.local.named(stream)
    const isAsync = place.isAsync && body.isAsync
    const start = this.#setting.current(place).lane.before
    const known: { point: Before | undefined } = { point: undefined }
    const forked = fork(
      () => {
        const there = this.#branch({ ...place, isAsync }, start)
        return this.#setting.function(body, there, () => (known.point = this.#setting.current(there).lane.before))()
      },
      { stream: named?.stream },
    )
    const { capture, local, call } = place
    local.forks.push(Object.assign(known, { fork: forked, capture, isAsync, call, isJoined: false, isDisposed: false }))
  }

  /** Joins on a named stream, or on the current one. */
  *join(
    known: KnownFork,
    place: Place,
    { stream, disposes }: { readonly stream: Named; readonly disposes: boolean },
  ): Steps {
    const { fork, capture, isAsync, call } = known
    if (capture !== place.capture || fork.stream.device !== place.local.world.device) return
    if (isAsync && (!place.isAsync || call !== place.call || disposes)) return
    if (known.isDisposed || this.#setting.judge.leavesOut()) return
    const path = this.#setting.path(stream, place)
    const isDone = disposes && known.isJoined
    const isFurther = known.isJoined && capture !== undefined
    known.isJoined = true
    known.isDisposed = disposes
    const joined = () => {
      const { order } = this.#setting.model
      if (!isDone) order.wait(path.lane, known.point ?? nothing)
      if (!isFurther) return
      // In a capture, the edge of a further join may be behind everything on the fork's stream.
      const others = place.local.paths.filter(({ lane }) => order.isMember(lane))
      const possible = others.reduce((all, { lane }) => all | lane.before.possible, 0n)
      order.wait(path.lane, { promised: 0n, possible })
    }
    const result = path.stream.run(() => (disposes ? fork.dispose() : fork.join()))
    if (isAsync) yield calling(result, joined)
    else joined()
  }

  *#leases({ joining, forking, first, second }: Kinds["leases"], place: Place): Steps {
    if (place.capture !== undefined) return
    const { forks } = place.local
    const count = forks.length
    const there = { ...place, isAsync: false }
    const act = (action: Action, where: Place) =>
      this.#fork(
        { kind: "fork", stream: undefined, body: bodyOf({ kind: "action", action, stream: undefined }) },
        where,
      )
    act(first, there)
    const joins = (stream: number) => ({ stream, disposes: false })
    for (const known of forks.slice(count)) yield* this.join(known, there, joins(joining))
    rest()
    const path = this.#setting.path(forking, place)
    const others = forks.length
    path.stream.run(() => {
      for (let more = 0; more < mostLeases; more++) act(second, this.#setting.with(there, path))
    })
    for (const known of forks.slice(others)) yield* this.join(known, there, joins(forking))
  }

  *#parallel({ via, streams, bodies }: Kinds["parallel"], place: Place): Steps {
    const { lane } = this.#setting.current(place)
    const start = lane.before
    const joins: (() => Before)[] = []
    const isAsync = place.isAsync && bodies.some((body) => body.isAsync)
    const functions = bodies.map((body) => () => {
      const there = this.#branch({ ...place, isAsync: place.isAsync && body.isAsync }, start)
      const path = this.#setting.current(there)
      let end: Before | undefined
      // With an async function, all are joined where they are when the last one has ended.
      joins.push(() => (isAsync ? path.lane.before : (end ?? path.lane.before)))
      return this.#setting.function(body, there, () => (end = path.lane.before))()
    })
    const result = this.#call(via, streams, functions, place)
    const joined = () => {
      for (const join of joins) this.#setting.model.order.wait(lane, join())
    }
    if (isAsync) yield calling(result, joined)
    else joined()
  }

  #call(via: Kinds["parallel"]["via"], streams: readonly Named[], functions: (() => unknown)[], place: Place) {
    const [first = () => undefined, ...others] = functions
    const [second = () => undefined] = others
    if (via === "parallel" || place.capture?.isBody === true) return parallel(functions)
    const { local } = place
    const aux = streams[0] === undefined ? null : streams.map((stream) => local.named(stream ?? 0).stream)
    if (via === "executeInParallel")
      return executeInParallel(first, others, local.start, local.done.slice(0, others.length), aux)
    return maybeExecuteInParallel(first, second, local.start, local.done[0] ?? null, aux?.[0])
  }
}

/** As many as the pool usually has. */
const mostLeases = 6

function bodyOf(statement: Statement): Body {
  return { isAsync: false, statements: [statement] }
}
