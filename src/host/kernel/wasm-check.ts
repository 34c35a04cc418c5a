/** The contents of a WebAssembly module that decide whether it can use the device memory. */
export interface WasmContents {
  /** The limits of the first imported memory. */
  readonly memory:
    | { readonly minimum: number; readonly maximum: number | undefined; readonly shared: boolean }
    | undefined
  /** The end of the last data segment that instantiation writes; Infinity if it is computed. */
  readonly dataEnd: number
  /** Whether it has data segments that its code copies to memory. */
  readonly hasPassiveData: boolean
}

const IMPORT_SECTION = 2
const DATA_SECTION = 11

/** Reads a module. `WebAssembly.Module` must have accepted it, so that it is well-formed. */
export function inspectWasm(bytes: Uint8Array): WasmContents {
  const reader = new Reader(bytes)
  reader.at = 8
  let memory: WasmContents["memory"]
  let data = { dataEnd: 0, hasPassiveData: false }
  while (reader.at < bytes.length) {
    const section = reader.byte()
    const end = reader.unsigned() + reader.at
    if (section === IMPORT_SECTION) memory = importedMemory(reader)
    if (section === DATA_SECTION) data = segments(reader)
    reader.at = end
  }
  return { memory, ...data }
}

class Reader {
  at = 0
  readonly #bytes: Uint8Array

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes
  }

  byte(): number {
    return this.#bytes[this.at++] ?? 0
  }

  unsigned(): number {
    let value = 0
    for (let scale = 1; ; scale *= 128) {
      const byte = this.byte()
      value += (byte & 127) * scale
      if (byte < 128) return value
    }
  }

  skip(count: number): void {
    this.at += count
  }
}

function importedMemory(reader: Reader): WasmContents["memory"] {
  for (let count = reader.unsigned(); count > 0; count--) {
    reader.skip(reader.unsigned())
    reader.skip(reader.unsigned())
    const kind = reader.byte()
    if (kind === 0) {
      reader.unsigned()
    } else if (kind === 1) {
      reader.byte()
      limits(reader)
    } else if (kind === 2) {
      return limits(reader)
    } else if (kind === 3) {
      reader.skip(2)
    } else {
      return undefined
    }
  }
  return undefined
}

function limits(reader: Reader): { minimum: number; maximum: number | undefined; shared: boolean } {
  const flags = reader.byte()
  const minimum = reader.unsigned()
  return { minimum, maximum: (flags & 1) === 0 ? undefined : reader.unsigned(), shared: (flags & 2) !== 0 }
}

function segments(reader: Reader): { dataEnd: number; hasPassiveData: boolean } {
  let dataEnd = 0
  let hasPassiveData = false
  for (let count = reader.unsigned(); count > 0; count--) {
    const flags = reader.unsigned()
    if (flags === 2) reader.unsigned()
    let offset = -Infinity
    if (flags !== 1) {
      const constant = reader.byte() === 0x41
      if (!constant) return { dataEnd: Infinity, hasPassiveData }
      offset = reader.unsigned()
      if (reader.byte() !== 0x0b) return { dataEnd: Infinity, hasPassiveData }
    }
    const length = reader.unsigned()
    reader.skip(length)
    if (length === 0) continue
    dataEnd = Math.max(dataEnd, offset + length)
    hasPassiveData ||= flags === 1
  }
  return { dataEnd, hasPassiveData }
}
