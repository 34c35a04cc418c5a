/** Other streams, forks and fork-joins. */
import {
  currentStream,
  executeInParallel,
  fork,
  maybeExecuteInParallel,
  parallel,
  withMultiStream,
} from "../../../../src/index.js"
import { type Before, nothing, together } from "../model/order.js"
import type { Body, Named, OfKind, Statement } from "../program.js"
import type { KnownFork, Local, Place } from "./place.js"
import type { Steps } from "./schedule.js"
import { calling, type Setting } from "./setting.js"

type Kinds = { readonly [K in Statement["kind"]]: OfKind<Statement, K> }

export class Branches {
  readonly #setting: Setting
  readonly #locals: readonly Local[]

  constructor(setting: Setting, locals: readonly Local[]) {
    this.#setting = setting
    this.#locals = locals
  }

  *run(statement: Kinds["on" | "fresh" | "fork" | "join" | "parallel" | "off" | "otherDevice"], place: Place): Steps {
    switch (statement.kind) {
      case "on":
        return yield* this.#on(statement, place)
      case "fresh":
        return yield* this.#fresh(statement, place)
      case "fork":
        return this.#fork(statement, place)
      case "join": {
        const known = place.local.forks[statement.fork % Math.max(1, place.local.forks.length)]
        return known && (yield* this.join(known, place, statement.disposes))
      }
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

  *join(known: KnownFork, place: Place, disposes: boolean): Steps {
    if (known.capture !== place.capture || known.fork.stream.device !== place.local.world.device) return
    if (known.isAsync && (!place.isAsync || known.call !== place.call)) return
    if (known.isDisposed || (disposes && known.isAsync)) return
    const { order } = this.#setting.model
    const isFirst = !known.isJoined
    known.isJoined = true
    known.isDisposed = disposes
    const { lane } = this.#setting.current(place)
    const joined = () => {
      // The library may make a further join wait for everything on the fork's stream.
      const others = place.local.paths.filter((path) => !isFirst && order.isMember(path.lane))
      const possible = others.reduce((all, path) => all | path.lane.before.possible, 0n)
      order.wait(lane, together(known.point ?? nothing, { promised: 0n, possible }))
    }
    if (disposes) {
      known.fork.dispose()
      if (isFirst) joined()
      return
    }
    const result = known.fork.join()
    if (known.isAsync) yield calling(result, joined)
    else joined()
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
