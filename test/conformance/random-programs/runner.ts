import assert from "node:assert/strict"
import {
  captureGraph,
  currentStream,
  type Device,
  type DeviceArray,
  type Event,
  executeInParallel,
  fork,
  type Graph,
  maybeExecuteInParallel,
  parallel,
  type PinnedArray,
  type Stream,
  withMultiStream,
} from "../../../src/index.js"
import { affine, affineOfStruct, combine, once, over, spin } from "../../support/kernels.js"
import { Latch } from "../../support/latch.js"
import { ScriptedPolicy } from "../../support/scripted-policy.js"
import type { Outcome } from "./model.js"
import {
  arrayCount,
  arrayLength,
  type BirthStatement,
  type Body,
  type GraphStatement,
  initial,
  type ParallelStatement,
  type RowsStatement,
  type Slice,
  type Statement,
  uploaded,
} from "./program.js"

type Ints = DeviceArray<"int32">
/** The steps of a body, which yields each promise that it awaits. A body that yields none can run synchronously. */
type Steps<T = void> = Generator<unknown, T, unknown>

/** The error of a body. */
class BodyError extends Error {
  constructor(readonly body: number) {
    super(`thrown by body ${body}`)
  }
}

/** The ids of the bodies whose errors an error contains, in order. */
function bodiesOf(error: unknown): number[] {
  if (error instanceof BodyError) return [error.body]
  if (error instanceof AggregateError) return error.errors.flatMap(bodiesOf)
  throw error
}

/** Streams and events that all programs share, nested and concurrent ones included. */
export class Fixtures {
  readonly streams: readonly Stream[]
  readonly start: Event
  readonly done: readonly Event[]
  readonly #pinned = new Map<string, PinnedArray<"int32">>()

  constructor(readonly device: Device) {
    this.streams = [device.defaultStream, device.createStream(), device.createStream(), device.createStream()]
    this.start = device.createEvent()
    this.done = Array.from({ length: 3 }, () => device.createEvent())
    // A stream whose handle was read, so that no wait on it may be skipped.
    void this.streams[3]?.handle
  }

  /** Pinned memory for copies into an array. */
  pinned(array: number, length: number): PinnedArray<"int32"> {
    const name = `${length} for ${array}`
    const pinned = this.#pinned.get(name) ?? this.device.pinned("int32", length)
    this.#pinned.set(name, pinned)
    return pinned
  }

  [Symbol.dispose](): void {
    for (const thing of [...this.streams, this.start, ...this.done, ...this.#pinned.values()]) thing.dispose()
  }
}

/** Runs a program on a device. */
export async function runOn(fixtures: Fixtures, program: Body): Promise<Outcome> {
  return new Run(fixtures).outcome(program)
}

class Run {
  readonly #device: Device
  readonly #at: Fixtures
  readonly #arrays: readonly Ints[]
  readonly #reads = new Map<number, Promise<Int32Array> | Int32Array>()
  readonly #errors = new Map<number, readonly number[]>()
  /** Results of branches that their callers never got, because another branch failed. */
  readonly #outputs = new Set<Ints>()
  /** During a capture, the streams to be disposed of afterwards. */
  #captured: Stream[] | undefined
  /** Every second graph has a policy, and its launches alternate between its two executables. */
  readonly #policy = new ScriptedPolicy()
  #graphs = 0

  constructor(fixtures: Fixtures) {
    this.#at = fixtures
    this.#device = fixtures.device
    this.#arrays = Array.from({ length: arrayCount }, (_, array) =>
      this.#device.from(Int32Array.from({ length: arrayLength }, (_, index) => initial(array, index))),
    )
  }

  async outcome(program: Body): Promise<Outcome> {
    await inTurn(this.#catching(-1, () => this.#body(program)))
    const arrays = await Promise.all(this.#arrays.map((array) => array.read()))
    for (const array of [...this.#arrays, ...this.#outputs]) array.dispose()
    const reads = new Map<number, Int32Array>()
    for (const [id, read] of this.#reads) reads.set(id, await read)
    return { arrays, reads, errors: this.#errors }
  }

  *#catching(id: number, run: () => Steps<unknown>): Steps {
    try {
      yield* run()
    } catch (error) {
      this.#errors.set(id, bodiesOf(error))
    }
  }

  /** A body as a function, async if the body is. */
  #function(body: Body): () => unknown {
    return body.isAsync ? () => inTurn(this.#body(body)) : () => atOnce(this.#body(body))
  }

  #slice({ array, begin, length }: Slice): Ints {
    const whole = this.#arrays[array]
    if (whole === undefined) throw new RangeError(`no array ${array}`)
    return begin === 0 && length === whole.length ? whole : whole.subarray(begin, begin + length)
  }

  #copyOf(slice: Slice): Ints {
    return this.#device.empty("int32", slice.length).copyFrom(this.#slice(slice))
  }

  *#body(body: Body): Steps<Ints | undefined> {
    for (const statement of body.statements) yield* this.#statement(statement)
    if (body.throws) throw new BodyError(body.id)
    if (body.output === undefined) return undefined
    const output = this.#copyOf(body.output)
    this.#outputs.add(output)
    return output
  }

  *#statement(statement: Statement): Steps {
    switch (statement.kind) {
      case "affine":
        return launchAffine(this.#slice(statement.target), statement.a, statement.b)
      case "combine":
        return launchCombine(this.#slice(statement.source), this.#slice(statement.target))
      case "copy":
        return void this.#slice(statement.target).copyFrom(this.#slice(statement.source))
      case "relay":
        return this.#relay(statement.source, statement.target)
      case "fill":
        return void this.#slice(statement.target).fill(statement.value)
      case "upload":
        return void this.#slice(statement.target).copyFrom(
          Int32Array.from({ length: statement.target.length }, (_, index) => uploaded(statement.value, index)),
        )
      case "rows":
        return this.#rows(statement)
      case "spin":
        return spin.launch(once, statement.iterations)
      case "pause":
        return void (yield statement.long ? new Promise(setImmediate) : Promise.resolve())
      case "temporary":
        return statement.scoped ? this.#device.scope(() => this.#temporary(statement)) : this.#temporary(statement)
      case "birth":
        return this.#captured === undefined ? this.#birth(statement) : this.#capturedBirth(statement)
      case "read":
        return this.#read(statement.id, this.#slice(statement.source), statement.blocking)
      case "synchronize":
        return yield* this.#synchronize(statement.way)
      case "on":
        return yield* this.#on(statement.stream, statement.byEvents, statement.body)
      case "off":
        return void (yield withMultiStream(false, this.#function(statement.body)))
      case "graph":
        return yield* this.#graph(statement)
      case "parallel":
        if (statement.caught) return yield* this.#catching(statement.id, () => this.#parallel(statement))
        return yield* this.#parallel(statement)
    }
  }

  #temporary({ source, target, b }: Extract<Statement, { kind: "temporary" }>): void {
    const made = this.#copyOf(source)
    launchAffine(made, 5, b)
    launchCombine(made, this.#slice(target))
    made.dispose()
  }

  #make({ made, value, target: { length } }: BirthStatement): Ints {
    if (made === "zeros") return this.#device.zeros("int32", length)
    if (made === "full") return this.#device.full("int32", length, value)
    if (made === "from") return this.#device.from(new Int32Array(length).fill(value))
    return this.#device.empty("int32", length)
  }

  /** The first use of the array, on the current stream. */
  #useFirst(array: Ints, { made, value }: BirthStatement): void {
    if (made === "empty") array.fill(value)
    launchAffine(array, 3, value)
  }

  #birth(statement: BirthStatement): void {
    const home = this.#streamOf(statement.home)
    const user = this.#device.createStream()
    using latch = new Latch(this.#device)
    const array = home.run(() => this.#make(statement))
    latch.hold(home)
    user.run(() => this.#useFirst(array, statement))
    user.synchronize()
    assert.equal(home.query(), false)
    latch.open()
    assert.equal(latch.timedOut, false)
    this.#endBirth(array, statement, home, user)
  }

  /** In a capture the order is an edge, which only the results show. */
  #capturedBirth(statement: BirthStatement): void {
    const current = currentStream(this.#device)
    const home = this.#streamOf(statement.home)
    const user = this.#device.createStream()
    for (const stream of [home, user]) if (stream !== current) stream.wait(current)
    const array = home.run(() => {
      const made = this.#make(statement)
      spin.launch(once, 1000)
      return made
    })
    user.run(() => this.#useFirst(array, statement))
    this.#endBirth(array, statement, home, user)
  }

  #endBirth(array: Ints, { home: named, target }: BirthStatement, home: Stream, user: Stream): void {
    currentStream(this.#device).wait(user)
    launchCombine(array, this.#slice(target))
    array.dispose()
    this.#end(user)
    if (named === undefined) this.#end(home)
  }

  /** A named stream, or a new one. */
  #streamOf(named: number | undefined): Stream {
    return (named === undefined ? undefined : this.#at.streams[named]) ?? this.#device.createStream()
  }

  #rows({ source, target, width, pitch, value }: RowsStatement): void {
    const shape = { width, height: Math.floor(target.length / pitch), pitch }
    const to = this.#slice(target)
    if (source === undefined) to.fill2D(value, shape)
    else to.copyFrom2D(this.#slice(source), { ...shape, sourcePitch: pitch })
  }

  /** A copy through pinned memory that belongs to the target. */
  #relay(source: Slice, target: Slice): void {
    const pinned = this.#at.pinned(target.array, target.length)
    pinned.copyFrom(this.#slice(source))
    this.#slice(target).copyFrom(pinned)
  }

  #read(id: number, source: Ints, blocking: boolean): void {
    const read = blocking ? source.readSync() : source.read()
    if (read instanceof Promise) read.catch(() => {})
    this.#reads.set(id, read)
  }

  *#synchronize(way: number): Steps {
    const stream = currentStream(this.#device)
    if (way === 0) stream.synchronize()
    if (way === 1) stream.query()
    if (way === 2) {
      using event = stream.record()
      event.synchronize()
    }
    if (way === 3) yield stream.completed()
    if (way === 4) yield this.#device.completed()
  }

  /** A body on another stream, ordered by hand. */
  *#on(stream: number | undefined, byEvents: boolean, body: Body): Steps {
    const current = currentStream(this.#device)
    const other = stream === undefined ? this.#device.createStream() : (this.#at.streams[stream] ?? current)
    order(current, other, byEvents)
    try {
      yield other.run(this.#function(body))
    } finally {
      order(other, current, byEvents)
      if (stream === undefined) this.#end(other)
    }
  }

  *#graph({ captured, launches, stream, between }: GraphStatement): Steps {
    const current = currentStream(this.#device)
    const other = stream === undefined ? current : (this.#at.streams[stream] ?? current)
    let graph: Graph<unknown> | undefined
    try {
      for (const body of captured) {
        graph = this.#capture(body, graph)
        for (let count = 0; count < launches; count++) {
          if (other !== current) other.wait(current)
          graph.launch(other)
          if (other !== current) current.wait(other)
          yield this.#function(between)()
        }
      }
    } finally {
      graph?.dispose()
    }
  }

  /** Captures into an existing graph, or a new one. */
  #capture(body: Body, graph: Graph<unknown> | undefined): Graph<unknown> {
    this.#captured = []
    const fn = () => atOnce(this.#body(body))
    try {
      const isMeasured = this.#graphs++ % 2 === 1
      const policy = isMeasured ? { overlap: this.#policy, key: "random" } : {}
      if (graph === undefined) return captureGraph(fn, { device: this.#device, ...policy })
      graph.update(fn)
      return graph
    } finally {
      const streams = this.#captured
      this.#captured = undefined
      for (const stream of streams) stream.dispose()
    }
  }

  /** Disposes of a stream; one that is part of a capture, after that capture. */
  #end(stream: Stream): void {
    if (this.#captured === undefined) stream.dispose()
    else this.#captured.push(stream)
  }

  *#parallel(statement: ParallelStatement): Steps {
    const { gift, branches } = statement
    const given = gift && this.#copyOf(gift.source)
    const functions = branches.map((body, index) => {
      const target = gift?.targets[index]
      const inner = this.#function(body)
      return () => {
        if (given && target) launchCombine(given, this.#slice(target))
        return inner()
      }
    })
    let outputs: unknown
    try {
      outputs = yield statement.via === "fork" ? this.#fork(statement, functions) : this.#call(statement, functions)
    } finally {
      given?.dispose()
    }
    if (!Array.isArray(outputs)) throw new TypeError("no list of results")
    for (const result of outputs.flat()) this.#take(result, statement.target)
  }

  /** If a branch returned an array, combines it into the target and disposes of it. */
  #take(result: unknown, target: Slice): void {
    for (const output of this.#outputs) {
      if (output !== result) continue
      this.#outputs.delete(output)
      launchCombine(output, this.#slice(target))
      output.dispose()
    }
  }

  #call({ via, streams }: ParallelStatement, functions: readonly (() => unknown)[]): unknown {
    const [fn0 = () => undefined, ...others] = functions
    const [fn1 = () => undefined] = others
    const { start, done } = this.#at
    const aux = streams[0] === undefined ? null : streams.map((stream) => this.#at.streams[stream ?? 0] ?? null)
    if (via === "parallel") return parallel(functions)
    if (via === "maybeExecuteInParallel") return maybeExecuteInParallel(fn0, fn1, start, done[0] ?? null, aux?.[0])
    return executeInParallel(fn0, others, start, done.slice(0, others.length), aux)
  }

  #fork({ streams, branches }: ParallelStatement, functions: readonly (() => unknown)[]): unknown {
    const [fn0 = () => undefined, fn1 = () => undefined] = functions
    const stream = streams[0] === undefined ? undefined : this.#at.streams[streams[0]]
    const forked = fork(fn1, { stream })
    const beside = this.#beside(fn0, () => forked.join())
    return branches.some((body) => body.isAsync) ? inTurn(beside) : atOnce(beside)
  }

  /** The branch beside a fork, which is joined in any case. */
  *#beside(main: () => unknown, join: () => unknown): Steps<unknown[]> {
    const results: unknown[] = []
    const errors: unknown[] = []
    for (const part of [main, join]) {
      try {
        results.push(yield part())
      } catch (error) {
        errors.push(error)
      }
    }
    if (errors.length > 0) throw new AggregateError(errors)
    return results
  }
}

function order(before: Stream, after: Stream, byEvents: boolean): void {
  if (!byEvents) return after.wait(before)
  using event = before.record()
  event.wait(after)
}

let jitters = 0

/** Sometimes delays a stream, so that unordered operations change places. */
function jitter(): void {
  jitters = (Math.imul(jitters, 1_664_525) + 1_013_904_223) >>> 0
  if (jitters >>> 30 === 0) spin.launch(once, 2 ** ((jitters >>> 20) % 18))
}

function launchAffine(x: Ints, a: number, b: number): void {
  jitter()
  if ((a & 2) === 0) affine.launch(over(x.length), x.length, x, a, b)
  else affineOfStruct.launch(over(x.length), { a, x, b, n: x.length })
}

function launchCombine(x: Ints, y: Ints): void {
  jitter()
  combine.launch(over(x.length), x.length, x, y)
}

async function inTurn<T>(steps: Steps<T>): Promise<T> {
  let next = steps.next()
  while (next.done !== true) {
    try {
      next = steps.next(await next.value)
    } catch (error) {
      next = steps.throw(error)
    }
  }
  return next.value
}

function atOnce<T>(steps: Steps<T>): T {
  let next = steps.next()
  while (next.done !== true) {
    if (next.value instanceof Promise) throw new TypeError("a function that is not async awaits")
    next = steps.next(next.value)
  }
  return next.value
}
