/** What an action queues, and which bytes it uses how. */
import type { DeviceArray, PinnedArray, Stream } from "../../../../src/index.js"
import { affineOfStruct, once } from "../../../support/kernels.js"
import type { Use } from "../model/order.js"
import type { Action, OfKind, Region } from "../program.js"
import { clip, convolve, type Part, touch, type World } from "./world.js"

/** An operation that can be queued. */
export interface Planned {
  readonly label: string
  readonly uses: readonly Use[]
  /** Queues it on the current stream, or on the named one. */
  queue(stream: Stream | undefined): void
}

type Bytes = DeviceArray<"uint8"> | PinnedArray<"uint8">
type Kinds = { readonly [K in Action["kind"]]: OfKind<Action, K> }

/** Queues on a named stream what has no such option. */
function on(stream: Stream | undefined, fn: () => unknown): void {
  if (stream === undefined) fn()
  else stream.run(fn)
}

function isPinned(array: Bytes): array is PinnedArray<"uint8"> {
  return "array" in array
}

function overlaps(one: Use, other: Use): boolean {
  return one.addresses.some((address) => other.addresses.includes(address))
}

/** Plans actions on one device. */
export class Planner {
  readonly #world: World
  readonly #temporaries: readonly DeviceArray<"uint8">[]
  readonly #isCaptured: boolean

  constructor(world: World, temporaries: readonly DeviceArray<"uint8">[], isCaptured: boolean) {
    this.#world = world
    this.#temporaries = temporaries
    this.#isCaptured = isCaptured
  }

  /** @returns undefined if no operation is queued */
  plan(action: Action): Planned | undefined {
    switch (action.kind) {
      case "touch":
        return this.touch(action)
      case "struct":
      case "clip":
        return action.kind === "struct" ? this.#struct(action) : this.#clip(action)
      case "fill":
      case "upload":
        return this.#overwrite(action)
      case "convolve":
        return this.#convolve(action)
      case "copy":
        return this.#copy(action)
      case "globals":
        return this.#globals(action)
      case "rows":
        return this.#rows(action)
      case "external":
        return this.#isCaptured ? undefined : this.#external(action)
    }
  }

  /** Part of an array of bytes. */
  bytes(region: Region, exact?: number): Part<Bytes> | undefined {
    return this.#world.bytes(region, this.#temporaries, exact)
  }

  #all(regions: readonly Region[]): Part<Bytes>[] {
    return regions.map((region) => this.bytes(region)).filter((part) => part !== undefined)
  }

  /** The arguments of the kernel that does nothing. */
  arguments({ input, output, both }: Kinds["touch"]): { args: [Bytes, Bytes, Bytes]; uses: Use[] } | undefined {
    const [a, b, c] = [this.bytes(input), this.bytes(output), this.bytes(both)]
    if (a === undefined || b === undefined || c === undefined) return undefined
    return { args: [a.array, b.array, c.array], uses: [a.use(false), b.use(true), c.use(true)] }
  }

  touch(action: Kinds["touch"]): Planned | undefined {
    const found = this.arguments(action)
    if (found === undefined) return undefined
    const [reads, writes] = [this.#all(action.reads), this.#all(action.writes)]
    const declared = { reads: reads.map(({ array }) => array), writes: writes.map(({ array }) => array) }
    const uses = reads.length + writes.length === 0 ? undefined : declared
    return {
      label: "test_touch",
      uses: [...found.uses, ...reads.map((part) => part.use(false)), ...writes.map((part) => part.use(true))],
      queue: (stream) => touch.launch({ ...once, ...(stream && { stream }), ...(uses && { uses }) }, ...found.args),
    }
  }

  #struct({ target }: Kinds["struct"]): Planned | undefined {
    const part = this.#world.ints(target)
    return (
      part && {
        label: "test_affine_of_struct",
        uses: [part.use(true)],
        queue: (stream) =>
          affineOfStruct.launch({ ...once, ...(stream && { stream }) }, { a: 1, x: part.array, b: 0, n: 0 }),
      }
    )
  }

  /** A launch may change the globals of its module, unless it declares that it only reads them. */
  #globalUses(declares: boolean): { readonly uses: Use[]; readonly options: { uses?: { reads: DeviceArray[] } } } {
    const { taps, clipped } = this.#world
    return {
      uses: [this.#world.whole(taps).use(false), this.#world.whole(clipped).use(!declares)],
      options: declares ? { uses: { reads: [clipped] } } : {},
    }
  }

  #clip({ target, declares }: Kinds["clip"]): Planned | undefined {
    const part = this.#world.floats(target)
    const { uses, options } = this.#globalUses(declares)
    return (
      part && {
        label: "clip",
        uses: [part.use(true), ...uses],
        queue: (stream) => clip.launch({ ...once, ...options, ...(stream && { stream }) }, 0, 1, part.array),
      }
    )
  }

  #convolve({ source, target, declares }: Kinds["convolve"]): Planned | undefined {
    const [from, to] = [this.#world.floats(source), this.#world.floats(target)]
    if (from === undefined || to === undefined) return undefined
    const { uses, options } = this.#globalUses(declares)
    return {
      label: "convolve",
      uses: [from.use(false), to.use(true), ...uses],
      queue: (stream) => convolve.launch({ ...once, ...options, ...(stream && { stream }) }, 0, from.array, to.array),
    }
  }

  #overwrite({ kind, target }: Kinds["fill"]): Planned | undefined {
    const part = this.bytes(target)
    if (part === undefined || isPinned(part.array) || part.array.length === 0) return undefined
    const { array } = part
    const queue = () => (kind === "fill" ? array.fill(0) : array.copyFrom(new Uint8Array(array.length)))
    return { label: kind, uses: [part.use(true)], queue: (stream) => on(stream, queue) }
  }

  #copy({ source, target }: Kinds["copy"]): Planned | undefined {
    const length = this.bytes(target)?.array.length ?? 0
    const [to, from] = [this.bytes(target, length), this.bytes(source, length)]
    if (length === 0 || to === undefined || from === undefined) return undefined
    const uses = [to.use(true), from.use(false)] as const
    if (overlaps(...uses)) return undefined
    const queue = copying(to.array, from.array)
    return queue && { label: "copy", uses, queue: (stream) => on(stream, queue) }
  }

  #globals({ way }: Kinds["globals"]): Planned {
    const { taps, clipped } = this.#world
    const fills = () => (way === 0 ? clipped.fill(0) : taps.fill(0))
    const queue = () => (way === 1 ? taps.copyFrom(new Float32Array(4)) : fills())
    const use = this.#world.whole<DeviceArray>(way === 0 ? clipped : taps).use(true)
    return { label: way === 1 ? "upload" : "fill", uses: [use], queue: (stream) => on(stream, queue) }
  }

  #external({ reads, writes }: Kinds["external"]): Planned {
    const [input, output] = [this.#all(reads), this.#all(writes)]
    const uses = [...input.map((part) => part.use(false)), ...output.map((part) => part.use(true))]
    const declared = { reads: input.map(({ array }) => array), writes: output.map(({ array }) => array) }
    return { label: "external", uses, queue: (stream) => this.#on(stream).external(declared, () => {}) }
  }

  #on(stream: Stream | undefined): Stream {
    return stream ?? this.#world.current
  }

  #rows({ from, source, target, rows }: Kinds["rows"]): Planned | undefined {
    const width = 1 + (rows.width % 4)
    const [pitch, sourcePitch] = [width + (rows.pitch % 4), width + (rows.sourcePitch % 4)]
    const to = this.bytes(target)
    const origin = from === 2 ? this.bytes(source) : undefined
    if (to === undefined || (from === 2 && origin === undefined)) return undefined
    const rowsIn = ({ length }: { readonly length: number }, by: number) =>
      length < width ? 0 : Math.floor((length - width) / by) + 1
    const height = Math.min(rowsIn(to.array, pitch), origin === undefined ? 32 : rowsIn(origin.array, sourcePitch))
    if (height === 0) return undefined
    const uses = [rowsOf(to.use(true), width, pitch, height)]
    if (origin !== undefined) uses.push(rowsOf(origin.use(false), width, sourcePitch, height))
    const [written, read] = uses
    if (written !== undefined && read !== undefined && overlaps(written, read)) return undefined
    const queue = copyingRows(to.array, origin?.array, from === 0, { width, height, pitch, sourcePitch })
    return queue && { label: ["fill", "upload", "copy"][from] ?? "copy", uses, queue: (stream) => on(stream, queue) }
  }
}

/** Only the bytes of the rows. */
function rowsOf(use: Use, width: number, pitch: number, height: number): Use {
  const addresses = use.addresses.filter((_, index) => index % pitch < width && index < (height - 1) * pitch + width)
  return { ...use, addresses }
}

/** Pinned memory can be copied from and to the device only. */
function copying(to: Bytes, from: Bytes): (() => unknown) | undefined {
  if (!isPinned(to)) return () => to.copyFrom(from)
  return isPinned(from) ? undefined : () => to.copyFrom(from)
}

interface Shape {
  readonly width: number
  readonly height: number
  readonly pitch: number
  readonly sourcePitch: number
}

function copyingRows(to: Bytes, from: Bytes | undefined, fills: boolean, shape: Shape): (() => unknown) | undefined {
  const { width, height, pitch, sourcePitch } = shape
  if (isPinned(to)) return from === undefined || isPinned(from) ? undefined : () => to.copyFrom2D(from, shape)
  if (fills) return () => to.fill2D(0, { width, height, pitch })
  return () => to.copyFrom2D(from ?? new Uint8Array((height - 1) * sourcePitch + width), shape)
}
