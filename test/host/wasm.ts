/** Builds small WebAssembly modules byte by byte. */

export interface WasmShape {
  /** Type of the exported function: value types of its parameters. */
  readonly parameters: readonly number[]
  /** Its body without the final `end`. */
  readonly code: readonly number[]
  /** Limits of the imported memory: flags, minimum, maximum. */
  readonly limits?: readonly number[]
  readonly memoryName?: string
  /** Its own memory instead of the imported one, or none at all. */
  readonly memory?: "own" | "none"
  /** Active data segments: offset and bytes. */
  readonly data?: readonly { readonly offset: number; readonly bytes: readonly number[] }[]
  /** A passive data segment, which only code can copy to memory. */
  readonly passiveData?: readonly number[]
  /** The names that export the function. */
  readonly names?: readonly string[]
  /** Exported i32 globals; those with a `!` cannot be changed. */
  readonly globals?: readonly string[]
}

export const I32 = 0x7f
export const I64 = 0x7e
export const F32 = 0x7d
export const F64 = 0x7c

/** The header of every module. */
const MAGIC = [0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0]

/** 65536 in LEB128. */
const MAXIMUM = [0x80, 0x80, 0x04]

/** A module that exports the function, as "k" by default. */
export function wasmModule(shape: WasmShape): Uint8Array {
  const { parameters, code, limits = [3, 0, ...MAXIMUM], memoryName = "memory", data = [], passiveData } = shape
  const { names = ["k"], globals = [] } = shape
  const exported = [
    ...names.map((name) => [...text(name), 0, 0]),
    ...globals.map((name, index) => [...text(name.replace("!", "")), 3, index]),
  ]
  const imports = [1, ...text("env"), ...text(memoryName), 2, ...limits]
  const segments = data.map(({ offset, bytes }) => [0, 0x41, ...unsigned(offset), 0x0b, ...sized(bytes)])
  if (passiveData !== undefined) segments.push([1, ...sized(passiveData)])
  return Uint8Array.from([
    ...MAGIC,
    ...section(1, [1, 0x60, ...sized(parameters), 0]),
    ...(shape.memory === undefined ? section(2, imports) : []),
    ...section(3, [1, 0]),
    ...(shape.memory === "own" ? section(5, [1, 0, 16]) : []),
    ...(globals.length === 0
      ? []
      : section(6, [globals.length, ...globals.flatMap((name) => [I32, name.endsWith("!") ? 0 : 1, 0x41, 0, 0x0b])])),
    ...section(7, [exported.length, ...exported.flat()]),
    ...section(10, [1, ...sized([0, ...code, 0x0b])]),
    ...(segments.length === 0 ? [] : section(11, [segments.length, ...segments.flat()])),
  ])
}

export const get = (local: number): number[] => [0x20, local]

function section(id: number, bytes: readonly number[]): number[] {
  return [id, ...sized(bytes)]
}

function sized(bytes: readonly number[]): number[] {
  return [...unsigned(bytes.length), ...bytes]
}

function text(value: string): number[] {
  return sized([...Buffer.from(value)])
}

/** LEB128, always two bytes, so that the sign bit is never set. */
function unsigned(value: number): number[] {
  return [(value & 127) | 128, (value >> 7) & 127]
}
