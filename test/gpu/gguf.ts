/** The part of llama.cpp's file format that a small model needs: a typed header, then tensors of float32. */

/** A value of the header: the format's number of its type, and its bytes. */
export interface GgufValue {
  readonly type: number
  readonly bytes: Buffer
}

export interface GgufTensor {
  readonly name: string
  /** The format puts the length of a row first. */
  readonly shape: readonly number[]
  readonly data: Float32Array
}

const VERSION = 3
const FLOAT32_TENSOR = 0
const alignment = 32

export function ggufUint32(value: number): GgufValue {
  return { type: 4, bytes: word(value) }
}

export function ggufInt32(value: number): GgufValue {
  const bytes = Buffer.alloc(4)
  bytes.writeInt32LE(value)
  return { type: 5, bytes }
}

export function ggufFloat32(value: number): GgufValue {
  const bytes = Buffer.alloc(4)
  bytes.writeFloatLE(value)
  return { type: 6, bytes }
}

export function ggufString(value: string): GgufValue {
  return { type: 8, bytes: text(value) }
}

/** A list of values of one type. */
export function ggufArray(values: readonly [GgufValue, ...GgufValue[]]): GgufValue {
  const [{ type }] = values
  return { type: 9, bytes: Buffer.concat([word(type), long(values.length), ...values.map(({ bytes }) => bytes)]) }
}

/** The bytes of a whole file. */
export function gguf(header: Readonly<Record<string, GgufValue>>, tensors: readonly GgufTensor[]): Buffer {
  const entries = Object.entries(header)
  const head = [Buffer.from("GGUF"), word(VERSION), long(tensors.length), long(entries.length)]
  for (const [key, { type, bytes }] of entries) head.push(text(key), word(type), bytes)
  const contents: Buffer[] = []
  let offset = 0
  for (const { name, shape, data } of tensors) {
    head.push(text(name), word(shape.length), ...shape.map(long), word(FLOAT32_TENSOR), long(offset))
    const bytes = padded(Buffer.from(data.buffer, data.byteOffset, data.byteLength))
    contents.push(bytes)
    offset += bytes.length
  }
  return Buffer.concat([padded(Buffer.concat(head)), ...contents])
}

function word(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32LE(value)
  return bytes
}

function long(value: number): Buffer {
  const bytes = Buffer.alloc(8)
  bytes.writeBigUInt64LE(BigInt(value))
  return bytes
}

function text(value: string): Buffer {
  const bytes = Buffer.from(value)
  return Buffer.concat([long(bytes.length), bytes])
}

/** Tensors begin at multiples of the alignment, and so does the first. */
function padded(bytes: Buffer): Buffer {
  return Buffer.concat([bytes, Buffer.alloc(-bytes.length & (alignment - 1))])
}
