import fc from "fast-check"

/** The number of arrays of a program, and their length. */
export const arrayCount = 6
export const arrayLength = 48
/** The number of named streams: the default stream, and three of the program's own. */
export const streamCount = 4

/** A part of an array. */
export interface Slice {
  readonly array: number
  readonly begin: number
  readonly length: number
}

/** The statements of one function. An async one awaits now and then. */
export interface Body {
  readonly id: number
  readonly isAsync: boolean
  readonly statements: readonly Statement[]
  /** Ends with an error that carries the body's id. */
  readonly throws: boolean
  /** The slice that it returns a copy of, in a new array. */
  readonly output: Slice | undefined
}

/** Which of the library's functions runs the branches. */
export type Via = "maybeExecuteInParallel" | "executeInParallel" | "fork" | "parallel"

export interface ParallelStatement {
  readonly kind: "parallel"
  readonly id: number
  readonly via: Via
  /** One stream for each branch but the first; undefined means none, or one of the pool. */
  readonly streams: readonly (number | undefined)[]
  readonly branches: readonly Body[]
  /** Whether an error is caught here. */
  readonly caught: boolean
  /** The slice that the branches' outputs are combined into afterwards. */
  readonly target: Slice
  /** Copied into an array that every branch combines into its own first slice, and that is then disposed of. */
  readonly gift: { readonly source: Slice; readonly targets: readonly (Slice | undefined)[] } | undefined
}

/**
 * Bodies that are captured one after another into the same graph. Each is launched several times, with other work between.
 */
export interface GraphStatement {
  readonly kind: "graph"
  readonly captured: readonly Body[]
  readonly launches: number
  /** The stream of the launch, ordered with the current stream; undefined means the current stream. */
  readonly stream: number | undefined
  readonly between: Body
}

/** How an array is made: the last way leaves its contents to the first use. */
export const makers = ["full", "from", "zeros", "empty"] as const

/**
 * An array that one stream makes and another one uses, with no order between the two except the array's birth. Later work of
 * the first stream is held until the use is over.
 */
export interface BirthStatement {
  readonly kind: "birth"
  readonly made: (typeof makers)[number]
  readonly value: number
  /** The stream that makes it; undefined means a new stream. */
  readonly home: number | undefined
  /** The slice that the array is combined into at the end. */
  readonly target: Slice
}

/** A copy or a fill of the rows of a slice: `width` of each `pitch` elements. */
export interface RowsStatement {
  readonly kind: "rows"
  readonly source: Slice | undefined
  readonly target: Slice
  readonly width: number
  readonly pitch: number
  readonly value: number
}

export type Statement =
  | { readonly kind: "affine"; readonly target: Slice; readonly a: number; readonly b: number }
  | { readonly kind: "combine" | "copy" | "relay"; readonly source: Slice; readonly target: Slice }
  | { readonly kind: "fill" | "upload"; readonly target: Slice; readonly value: number }
  | RowsStatement
  | {
      readonly kind: "temporary"
      readonly source: Slice
      readonly target: Slice
      readonly b: number
      readonly scoped: boolean
    }
  | BirthStatement
  | { readonly kind: "spin"; readonly iterations: number }
  | { readonly kind: "pause"; readonly long: boolean }
  | { readonly kind: "read"; readonly id: number; readonly source: Slice; readonly blocking: boolean }
  | { readonly kind: "synchronize"; readonly way: number }
  | { readonly kind: "on"; readonly stream: number | undefined; readonly byEvents: boolean; readonly body: Body }
  | { readonly kind: "off"; readonly body: Body }
  | GraphStatement
  | ParallelStatement

/** The random input: numbers without meaning yet, so that every smaller input is a program, too. */
interface Draw {
  readonly kind: number
  readonly picks: readonly number[]
  readonly bodies: readonly BodyDraw[]
}

interface BodyDraw {
  readonly flags: number
  readonly draws: readonly Draw[]
}

const pick = fc.nat({ max: 0xffff })
const picks = fc.array(pick, { minLength: 8, maxLength: 8 })

const { body: bodyDraw } = fc.letrec<{ draw: Draw; body: BodyDraw }>((tie) => ({
  draw: fc.oneof(
    { depthSize: "small", withCrossShrink: true },
    { weight: 4, arbitrary: fc.record({ kind: fc.nat({ max: 59 }), picks, bodies: fc.constant([]) }) },
    {
      weight: 3,
      arbitrary: fc.record({
        kind: fc.integer({ min: 60, max: 99 }),
        picks,
        bodies: fc.array(tie("body"), { minLength: 1, maxLength: 4, size: "max" }),
      }),
    },
  ),
  body: fc.record({ flags: pick, draws: fc.array(tie("draw"), { maxLength: 6, size: "max" }) }),
}))
const mainDraws = fc.array(bodyDraw, { minLength: 1, maxLength: 4, size: "max" })

/** Turns the numbers into a program in which no branch writes to memory that a parallel branch uses. */
class Meaning {
  #ids = 0
  /** Inside a capture, where reads and further captures are not allowed. */
  #isCaptured = false

  body(
    draw: BodyDraw,
    writable: readonly number[],
    readable: readonly number[],
    mayAwait: boolean,
    output?: number,
  ): Body {
    const isAsync = mayAwait && draw.flags % 2 === 0
    return {
      id: this.#ids++,
      isAsync,
      statements: draw.draws.flatMap((inner) => this.#statement(inner, writable, readable, isAsync) ?? []),
      throws: (draw.flags >> 3) % 12 === 0,
      output:
        output === undefined || (draw.flags >> 6) % 3 === 0
          ? undefined
          : slice(readable, draw.flags, draw.flags >> 4, output),
    }
  }

  #statement(
    draw: Draw,
    writable: readonly number[],
    readable: readonly number[],
    mayAwait: boolean,
  ): Statement | undefined {
    const [p0 = 0, p1 = 0, p2 = 0, p3 = 0, p4 = 0, p5 = 0] = draw.picks
    const { kind } = draw
    if (kind < 8) return { kind: "spin", iterations: 2 ** (p0 % 16) }
    if (kind < 15) return mayAwait ? { kind: "pause", long: p0 % 4 === 0 } : undefined
    if (kind < 22 && this.#isCaptured) return undefined
    if (kind < 20) {
      if (readable.length === 0) return undefined
      const blocking = p4 % 4 === 0
      return { kind: "read", id: this.#ids++, source: slice(readable, p0, p1, 1 + (p2 % arrayLength)), blocking }
    }
    if (kind < 22) return { kind: "synchronize", way: p0 % (mayAwait ? 5 : 3) }
    if (kind >= 90) return this.#nested(draw, writable, readable, mayAwait)
    if (writable.length === 0) return undefined
    if (kind >= 86 && !this.#isCaptured) return this.#graph(draw, writable, readable, mayAwait)
    if (kind >= 60) return this.#parallel(draw, writable, readable, mayAwait)
    const target = slice(writable, p0, p1, 1 + (p2 % arrayLength))
    if (kind < 36) return { kind: "affine", target, a: 3 + 2 * (p3 % 8), b: p4 }
    if (kind < 39) return { kind: "fill", target, value: p3 }
    if (kind < 42) return { kind: "upload", target, value: p3 }
    const source = slice(readable, p3, p4, target.length)
    if (kind < 47) return { kind: "temporary", source, target, b: p5, scoped: p5 % 2 === 0 }
    if (kind < 50) {
      const home = p3 % (streamCount + 1)
      const made = makers[p4 % makers.length] ?? "empty"
      return { kind: "birth", made, value: p5, home: home === streamCount ? undefined : home, target }
    }
    if (source.array === target.array) return undefined
    if (kind < 55) return { kind: "combine", source, target }
    if (kind < 59) return { kind: kind < 57 ? "copy" : "relay", source, target }
    const pitch = 1 + (p5 % 4)
    return {
      kind: "rows",
      source: p4 % 3 === 0 ? undefined : source,
      target,
      width: 1 + (p3 % pitch),
      pitch,
      value: p5,
    }
  }

  #nested(
    draw: Draw,
    writable: readonly number[],
    readable: readonly number[],
    mayAwait: boolean,
  ): Statement | undefined {
    const [p0 = 0, p1 = 0] = draw.picks
    const [first] = draw.bodies
    if (first === undefined) return undefined
    const body = this.body(first, writable, readable, mayAwait)
    if (draw.kind >= 97) return { kind: "off", body }
    const stream = p0 % (streamCount + 1)
    return { kind: "on", stream: stream === streamCount ? undefined : stream, byEvents: p1 % 2 === 0, body }
  }

  #graph(
    draw: Draw,
    writable: readonly number[],
    readable: readonly number[],
    mayAwait: boolean,
  ): GraphStatement | undefined {
    const [p0 = 0, p1 = 0, p2 = 0] = draw.picks
    const [first, between = { flags: 9, draws: [] }, another] = draw.bodies
    if (first === undefined) return undefined
    const others = [...(p2 % 2 === 0 ? [withOtherValues(first)] : []), ...(another === undefined ? [] : [another])]
    this.#isCaptured = true
    const captured = [first, ...others].map((body) => this.body(body, writable, readable, false))
    this.#isCaptured = false
    const stream = p1 % (streamCount + 1)
    return {
      kind: "graph",
      captured,
      launches: p0 % 5,
      stream: stream === streamCount ? undefined : stream,
      between: this.body(between, writable, readable, mayAwait),
    }
  }

  #parallel(
    draw: Draw,
    writable: readonly number[],
    readable: readonly number[],
    mayAwait: boolean,
  ): ParallelStatement {
    const [p0 = 0, p1 = 0, p2 = 0, p3 = 0, p4 = 0, p5 = 0, p6 = 0] = draw.picks
    const via = viaOf(draw.kind)
    const [only = { flags: 1, draws: [] }] = draw.bodies
    const wanted = via === "maybeExecuteInParallel" || via === "fork" ? draw.bodies.slice(0, 2) : draw.bodies
    const draws = wanted.length < 2 ? [only, { flags: 1, draws: [] }] : wanted
    const shares = share(writable, draws.length, p0 * 65_536 + p1)
    const common = readable.filter((array) => !shares.some((own) => own.includes(array)))
    const target = slice(writable, p2, p3, 1 + (p4 % 16))
    const branches = draws.map((inner, index) => {
      const own = shares[index] ?? []
      const seen = [...own, ...common]
      return this.body(inner, own, seen, mayAwait, seen.length === 0 ? undefined : target.length)
    })
    return {
      kind: "parallel",
      id: this.#ids++,
      via,
      streams: branches.slice(1).map((_, index) => {
        const stream = (p5 >> (3 * index)) % (streamCount + 1)
        return stream === streamCount ? undefined : stream
      }),
      branches,
      caught: p6 % 4 !== 0,
      target,
      gift: p6 % 5 === 0 ? { source: slice(readable, p3, p2, 8), targets: shares.map(firstOf) } : undefined,
    }
  }
}

/** Mostly the same operations, with other values and arrays. */
function withOtherValues({ flags, draws }: BodyDraw): BodyDraw {
  const changed = draws.map(({ kind, picks: [p0 = 0, p1 = 0, p2 = 0, p3 = 0, p4 = 0, ...rest], bodies }) => ({
    kind,
    picks: [p0, p1, p2, p3 + 1, p4 + 1, ...rest],
    bodies: bodies.map(withOtherValues),
  }))
  return { flags, draws: changed }
}

function viaOf(kind: number): Via {
  if (kind < 70) return "maybeExecuteInParallel"
  if (kind < 77) return "executeInParallel"
  return kind < 84 ? "fork" : "parallel"
}

function firstOf(own: readonly number[]): Slice | undefined {
  const [array] = own
  return array === undefined ? undefined : { array, begin: 3, length: 8 }
}

/** Assigns each array to one branch, or to none; then all branches may read it. */
function share(arrays: readonly number[], count: number, seed: number): number[][] {
  const shares = Array.from({ length: count }, (): number[] => [])
  arrays.forEach((array, index) => shares[Math.floor(seed / (count + 1) ** index) % (count + 1)]?.push(array))
  return shares
}

function slice(arrays: readonly number[], which: number, where: number, length: number): Slice {
  return { array: arrays[which % arrays.length] ?? 0, begin: where % (arrayLength - length + 1), length }
}

const all = Array.from({ length: arrayCount }, (_, index) => index)

/** A random program: its main function, which is async. */
export const programs: fc.Arbitrary<Body> = mainDraws.map((bodies) => {
  const draws = bodies.flatMap((body) => body.draws)
  return new Meaning().body({ flags: 8, draws }, all, all, true)
})

/** The first value of every element. */
export function initial(array: number, index: number): number {
  return Math.imul(array + 1, 1_000_003) + index
}

/** The contents of an upload. */
export function uploaded(value: number, index: number): number {
  return Math.imul(value, 31) + index
}
