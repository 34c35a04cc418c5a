import {
  arrayCount,
  arrayLength,
  type Body,
  type GraphStatement,
  initial,
  type ParallelStatement,
  type RowsStatement,
  type Slice,
  type Statement,
  uploaded,
} from "./program.js"

/** The results of a program. */
export interface Outcome {
  readonly arrays: readonly Int32Array[]
  /** The contents that each read saw, by its id. */
  readonly reads: ReadonlyMap<number, Int32Array>
  /** Which bodies' errors were caught, by the id of the statement that caught them; uncaught ones by -1. */
  readonly errors: ReadonlyMap<number, readonly number[]>
}

/** The errors of one or several bodies, by their ids. */
class Failure extends Error {
  constructor(readonly bodies: readonly number[]) {
    super()
  }
}

/** Where a body runs: a stream with a name, one of the pool, and whether multi-stream is on. */
interface Place {
  readonly stream: number | "another"
  readonly multiStream: boolean
}

/**
 * The sequential meaning of a program: one array and one branch after the other. Streams matter in one way only: they decide
 * whether a call runs in sequence, where the first error ends it, or in parallel, where started branches go on.
 */
export class Model implements Outcome {
  readonly arrays = Array.from({ length: arrayCount }, (_, array) =>
    Int32Array.from({ length: arrayLength }, (_, index) => initial(array, index)),
  )
  readonly reads = new Map<number, Int32Array>()
  readonly errors = new Map<number, readonly number[]>()

  constructor(program: Body) {
    this.#catching(-1, () => this.#body(program, { stream: 0, multiStream: true }))
  }

  #catching(id: number, run: () => void): void {
    try {
      run()
    } catch (error) {
      if (!(error instanceof Failure)) throw error
      this.errors.set(id, error.bodies)
    }
  }

  #slice({ array, begin, length }: Slice): Int32Array {
    return this.arrays[array]?.subarray(begin, begin + length) ?? new Int32Array(0)
  }

  #body(body: Body, place: Place): Int32Array | undefined {
    for (const statement of body.statements) this.#statement(statement, place)
    if (body.throws) throw new Failure([body.id])
    return body.output && this.#slice(body.output).slice()
  }

  #rows({ source, target, width, pitch, value }: RowsStatement): void {
    const to = this.#slice(target)
    const from = source === undefined ? to.slice().fill(value) : this.#slice(source)
    for (let index = 0; index < to.length - (to.length % pitch); index++) {
      if (index % pitch < width) to[index] = from[index] ?? 0
    }
  }

  #statement(statement: Statement, place: Place): void {
    switch (statement.kind) {
      case "affine":
        return affine(this.#slice(statement.target), statement.a, statement.b)
      case "combine":
        return combine(this.#slice(statement.source), this.#slice(statement.target))
      case "copy":
      case "relay":
        return this.#slice(statement.target).set(this.#slice(statement.source))
      case "fill":
        return void this.#slice(statement.target).fill(statement.value)
      case "upload":
        return this.#slice(statement.target).set(
          Int32Array.from({ length: statement.target.length }, (_, index) => uploaded(statement.value, index)),
        )
      case "rows":
        return this.#rows(statement)
      case "temporary": {
        const made = this.#slice(statement.source).slice()
        affine(made, 5, statement.b)
        return combine(made, this.#slice(statement.target))
      }
      case "birth": {
        const made = new Int32Array(statement.target.length).fill(statement.made === "zeros" ? 0 : statement.value)
        affine(made, 3, statement.value)
        return combine(made, this.#slice(statement.target))
      }
      case "read":
        return void this.reads.set(statement.id, this.#slice(statement.source).slice())
      case "on":
        return void this.#body(statement.body, { ...place, stream: statement.stream ?? "another" })
      case "off":
        return void this.#body(statement.body, { ...place, multiStream: false })
      case "graph":
        return this.#graph(statement, place)
      case "parallel":
        if (statement.caught) return this.#catching(statement.id, () => this.#parallel(statement, place))
        return this.#parallel(statement, place)
      case "spin":
      case "pause":
      case "synchronize":
        return
    }
  }

  #graph({ captured, launches, between }: GraphStatement, place: Place): void {
    const inside: Place = { ...place, stream: "another" }
    for (const body of captured) {
      this.#capture(body, inside)
      for (let count = 0; count < launches; count++) {
        this.#body(body, inside)
        this.#body(between, place)
      }
    }
  }

  /** Changes nothing, whether it fails or not. */
  #capture(body: Body, inside: Place): void {
    const before = this.arrays.map((array) => array.slice())
    try {
      this.#body(body, inside)
    } finally {
      before.forEach((array, index) => this.arrays[index]?.set(array))
    }
  }

  #parallel(statement: ParallelStatement, place: Place): void {
    const { gift } = statement
    const given = gift && this.#slice(gift.source).slice()
    const run = (index: number, stream: Place["stream"]) => {
      const target = gift?.targets[index]
      if (given && target) combine(given, this.#slice(target))
      const body = statement.branches[index]
      return body && this.#body(body, { ...place, stream })
    }
    const outputs = statement.via === "fork" ? this.#fork(statement, place, run) : this.#join(statement, place, run)
    for (const output of outputs) if (output) combine(output, this.#slice(statement.target))
  }

  #join(statement: ParallelStatement, place: Place, run: Run): (Int32Array | undefined)[] {
    const sideBySide = isParallel(statement, place)
    const outputs: (Int32Array | undefined)[] = []
    const failed: number[] = []
    for (const [index, body] of statement.branches.entries()) {
      try {
        outputs.push(run(index, sideBySide ? streamOf(statement, index, place) : place.stream))
      } catch (error) {
        if (!(error instanceof Failure)) throw error
        failed.push(...error.bodies)
        if (!sideBySide || !body.isAsync) break
      }
    }
    if (failed.length > 0) throw new Failure(failed)
    return outputs
  }

  /** The first branch runs beside the fork, which is the second one. */
  #fork(statement: ParallelStatement, place: Place, run: Run): (Int32Array | undefined)[] {
    const failed: number[] = []
    const attempt = (index: number, stream: Place["stream"]) => {
      try {
        return run(index, stream)
      } catch (error) {
        if (!(error instanceof Failure)) throw error
        if (index === 1 && statement.branches[1]?.isAsync !== true) throw error
        failed.push(...error.bodies)
        return undefined
      }
    }
    const forked = attempt(1, place.multiStream ? streamOf(statement, 1, place) : place.stream)
    const onMain: number[] = failed.splice(0)
    const main = attempt(0, place.stream)
    failed.push(...onMain)
    if (failed.length > 0) throw new Failure(failed)
    return [main, forked]
  }
}

type Run = (index: number, stream: Place["stream"]) => Int32Array | undefined

function isParallel({ via, streams }: ParallelStatement, place: Place): boolean {
  if (!place.multiStream) return false
  if (via === "parallel") return true
  // Without a stream for the first slot, the call gets no aux stream.
  return streams[0] !== undefined && streams.some((stream) => (stream ?? 0) !== place.stream)
}

/** The stream of a branch that runs beside the first one. */
function streamOf({ via, streams }: ParallelStatement, index: number, place: Place): Place["stream"] {
  if (index === 0) return place.stream
  if (via === "parallel") return "another"
  return streams[index - 1] ?? (via === "fork" ? "another" : 0)
}

function affine(x: Int32Array, a: number, b: number): void {
  for (let i = 0; i < x.length; i++) x[i] = Math.imul(x[i] ?? 0, a) + b
}

function combine(x: Int32Array, y: Int32Array): void {
  for (let i = 0; i < y.length; i++) y[i] = Math.imul(y[i] ?? 0, 3) + (x[i] ?? 0)
}
