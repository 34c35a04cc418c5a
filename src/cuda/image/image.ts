/**
 * Checks that a kernel's image is complete.
 *
 * The CUDA driver follows the offsets in an image without checking where it ends. A truncated image makes it read other
 * memory, and the process crashes. So the driver must never get an image with a table or a section that is not entirely
 * inside it. The driver itself refuses an image for another device or with invalid code.
 */
import { AuxstreamError } from "../../common/errors.js"

export const ELF = 0x464c457f
export const FATBIN = 0xba55ed50
/** What `nvcc` links into a program. It contains an address that is valid only in that program. */
const FATBIN_WRAPPER = 0x466243b1

/** @throws AuxstreamError AUX_KERNEL_INVALID for an image that is incomplete or not an image */
export function checkImage(label: string, image: Uint8Array): void {
  const wrong = fault(new Image(image))
  if (wrong === undefined) return
  throw new AuxstreamError("AUX_KERNEL_INVALID", `${label} cannot be loaded: its image ${wrong}.`)
}

function fault(image: Image): string | undefined {
  if (image.length === 0) return "has no bytes"
  switch (image.length < 4 ? 0 : image.uint32(0)) {
    case ELF:
      return cubinFault(image)
    case FATBIN:
      return fatbinFault(image)
    case FATBIN_WRAPPER:
      return "is a fatbin's wrapper, which contains an address of another process: give the fatbin itself"
    default:
      return textFault(image)
  }
}

/** A cubin is a 64-bit ELF file. */
function cubinFault(image: Image): string | undefined {
  if (image.length < 64) return image.cutOff("cubin", "header", 64)
  const programs = table(image, { at: 32, sizeAt: 54, countAt: 56, least: 56 })
  const sections = table(image, { at: 40, sizeAt: 58, countAt: 60, least: 64 })
  if (image.uint8(4) !== 2 || programs === undefined || sections === undefined) return "is not a cubin's ELF file"
  for (const [what, { end }] of [
    ["program headers", programs],
    ["section headers", sections],
  ] as const) {
    if (end > image.length) return image.cutOff("cubin", what, end)
  }
  const parts = [
    ...programs.offsets.map((offset) => image.uint64(offset + 8) + image.uint64(offset + 32)),
    ...sections.offsets
      .filter((offset) => hasBytes(image, offset))
      .map((at) => image.uint64(at + 24) + image.uint64(at + 32)),
  ]
  const end = Math.max(0, ...parts)
  return end > image.length ? image.cutOff("cubin", "contents", end) : undefined
}

const SECTION_NULL = 0
const SECTION_NOBITS = 8

function hasBytes(image: Image, section: number): boolean {
  return ![SECTION_NULL, SECTION_NOBITS].includes(image.uint32(section + 4))
}

interface Table {
  readonly offsets: readonly number[]
  readonly end: number
}

/** The offsets of a table's headers, and its end. Undefined if the headers are smaller than an ELF file's. */
function table(
  image: Image,
  { at, sizeAt, countAt, least }: { at: number; sizeAt: number; countAt: number; least: number },
): Table | undefined {
  const [begin, size, count] = [image.uint64(at), image.uint16(sizeAt), image.uint16(countAt)]
  if (count > 0 && size < least) return undefined
  return {
    offsets: Array.from({ length: count }, (_, index) => begin + index * size),
    end: count > 0 ? begin + count * size : 0,
  }
}

/** A fatbin is a header, followed by images for several devices with a header each. */
function fatbinFault(image: Image): string | undefined {
  if (image.length < 16) return image.cutOff("fatbin", "header", 16)
  const end = image.uint16(6) + image.uint64(8)
  if (end > image.length) return image.cutOff("fatbin", "contents", end)
  for (let at = image.uint16(6); end - at >= 16;) {
    const begin = at + image.uint32(at + 4)
    const entry = image.part(begin, begin + image.uint64(at + 8))
    if (begin < at + 16 || entry === undefined) return `is a fatbin whose entry at byte ${at} does not end inside it`
    const wrong = entry.length >= 4 && entry.uint32(0) === ELF ? cubinFault(entry) : undefined
    if (wrong !== undefined) return `is a fatbin, and its image at byte ${begin} ${wrong}`
    at = begin + entry.length
  }
  return undefined
}

const COMMENT_OR_STRING = /\/\*[^]*?(?:\*\/|$)|\/\/[^\n]*|"[^"\n]*"/g

/** ASCII control characters. Comments may contain any other byte, in any encoding. */
const NOT_IN_TEXT = /(?![\s\u0080-\u009F])\p{Cc}/u

/** The driver reads anything else as PTX text, up to the first zero. */
function textFault(image: Image): string | undefined {
  const text = image.text()
  const at = text.search(NOT_IN_TEXT)
  if (at >= 0) return `is neither a cubin nor a fatbin, and its character ${at} is not allowed in PTX`
  const code = text.replaceAll(COMMENT_OR_STRING, (part) => (/^\/\*(?![^]*\*\/$)/.test(part) ? "{" : ""))
  const depth = [...code.matchAll(/[{}]/g)].reduce((open, [brace]) => open + (brace === "{" ? 1 : -1), 0)
  return depth > 0 ? "is truncated PTX: it ends within a function or a comment" : undefined
}

/** The images in a fatbin, which must be whole. A compressed one is given as it is. */
export function fatbinParts(image: Image): Image[] {
  const parts: Image[] = []
  const end = image.uint16(6) + image.uint64(8)
  for (let at = image.uint16(6); end - at >= 16;) {
    const begin = at + image.uint32(at + 4)
    const part = image.part(begin, begin + image.uint64(at + 8))
    if (part === undefined) break
    parts.push(part)
    at = begin + part.length
  }
  return parts
}

/** Reads bytes as a little-endian file. */
export class Image {
  readonly #bytes: Uint8Array
  readonly #view: DataView

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  }

  get length(): number {
    return this.#bytes.length
  }

  uint8(at: number): number {
    return this.#view.getUint8(at)
  }

  uint16(at: number): number {
    return this.#view.getUint16(at, true)
  }

  uint32(at: number): number {
    return this.#view.getUint32(at, true)
  }

  /** Rounded above 2^53, which is beyond any image's end. */
  uint64(at: number): number {
    return Number(this.#view.getBigUint64(at, true))
  }

  /** The bytes from `begin` to `end`; undefined if the image ends before. */
  part(begin: number, end: number): Image | undefined {
    return end <= this.length ? new Image(this.#bytes.subarray(begin, end)) : undefined
  }

  /** The bytes as text, one character each, without the zeros at the end. */
  text(): string {
    const { buffer, byteOffset } = this.#bytes
    const last = this.#bytes.findLastIndex((byte) => byte !== 0)
    return Buffer.from(buffer, byteOffset, last + 1).toString("latin1")
  }

  /** The text at an offset, up to its zero byte. Empty outside the image. */
  textAt(at: number): string {
    const end = this.#bytes.indexOf(0, at)
    return new TextDecoder().decode(this.#bytes.subarray(at, end < 0 ? undefined : end))
  }

  cutOff(kind: string, what: string, end: number): string {
    return `is a truncated ${kind}: it has ${this.length} bytes, and its ${what} would end at byte ${end}`
  }
}
