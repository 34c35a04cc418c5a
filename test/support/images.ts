/** Images of kernels for tests: valid files without code that a GPU could run. */

/** A cubin's ELF file: a header, some contents, a table of sections, and one of segments at its end, as ptxas writes it. */
export function cubinOf(contents: Uint8Array): Uint8Array {
  const [sections, segments] = [64 + contents.length, 64 + contents.length + 3 * 64]
  const bytes = new Uint8Array(segments + 56)
  const view = new DataView(bytes.buffer)
  bytes.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1])
  view.setBigUint64(32, BigInt(segments), true)
  view.setBigUint64(40, BigInt(sections), true)
  for (const [at, value] of [
    [52, 64],
    [54, 56],
    [56, 1],
    [58, 64],
    [60, 3],
    [62, 1],
  ] as const)
    view.setUint16(at, value, true)
  bytes.set(contents, 64)
  // The first is empty; the second has the contents; the third only takes up memory, however much.
  section(1, 1, 64n, BigInt(contents.length))
  section(2, 8, 64n, 1n << 40n)
  view.setUint32(segments, 1, true)
  view.setBigUint64(segments + 8, 64n, true)
  view.setBigUint64(segments + 32, BigInt(contents.length), true)
  return bytes

  function section(index: number, type: number, offset: bigint, size: bigint): void {
    const at = sections + index * 64
    view.setUint32(at + 4, type, true)
    view.setBigUint64(at + 24, offset, true)
    view.setBigUint64(at + 32, size, true)
  }
}

/** A fatbin of several images. */
export function fatbinOf(...images: readonly Uint8Array[]): Uint8Array {
  const size = images.reduce((sum, image) => sum + 64 + image.length, 0)
  const bytes = new Uint8Array(16 + size)
  const view = new DataView(bytes.buffer)
  view.setUint32(0, 0xba55ed50, true)
  view.setUint16(4, 1, true)
  view.setUint16(6, 16, true)
  view.setBigUint64(8, BigInt(size), true)
  let at = 16
  for (const image of images) {
    view.setUint32(at + 4, 64, true)
    view.setBigUint64(at + 8, BigInt(image.length), true)
    bytes.set(image, at + 64)
    at += 64 + image.length
  }
  return bytes
}
