import assert from "node:assert/strict"
import { test } from "node:test"
import { checkImage } from "../../src/cuda/image/image.js"
import { AuxstreamError } from "../../src/common/errors.js"
import { cubinOf, fatbinOf } from "../support/images.js"
import { noop, onDouble, open, thrownBy, withCode } from "./device.js"
import { double } from "./double.js"

const contents = new Uint8Array(300).fill(7)
const cubin = cubinOf(contents)
const fatbin = fatbinOf(cubin, new Uint8Array(100).fill(9))
const ptx = `// { in a comment\n.version 8.0\n.target sm_90\n.address_size 64\n/* and { here */
.visible .entry test_noop()\n{\n.pragma "{";\n{ ret; }\n}\n`

/** The reason for a refusal; undefined if the image is accepted. */
function refusal(image: Uint8Array): string | undefined {
  try {
    checkImage('Kernel "k"', image)
    return undefined
  } catch (error) {
    assert.ok(error instanceof AuxstreamError && error.code === "AUX_KERNEL_INVALID", String(error))
    return error.message
  }
}

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)

/** The lengths at which the beginning of an image is accepted as a whole one. */
function takenBeginnings(image: Uint8Array, least = 4): number[] {
  const lengths = Array.from({ length: image.length - least }, (_, index) => index + least)
  return lengths.filter((length) => refusal(image.subarray(0, length)) === undefined)
}

test("a cubin is accepted only as a whole", () => {
  assert.equal(refusal(cubin), undefined)
  assert.deepEqual(takenBeginnings(cubin), [])
  assert.match(refusal(cubin.subarray(0, 100)) ?? "", /"k".+ truncated cubin: it has 100 bytes, .+ end at byte 612/)
})

test("a cubin whose contents lie beyond its end is refused wherever its tables are", () => {
  for (const at of [64 + contents.length + 64 + 32, 64 + contents.length + 3 * 64 + 32]) {
    const long = cubin.slice()
    new DataView(long.buffer).setBigUint64(at, 1n << 60n, true)
    assert.match(refusal(long) ?? "", /truncated.+contents/)
  }
})

test("an ELF file of another kind is refused: 32 bits, or headers that are too small", () => {
  for (const [at, value] of [
    [4, 1],
    [54, 32],
    [58, 40],
  ] as const) {
    const other = cubin.slice()
    other[at] = value
    assert.match(refusal(other) ?? "", /not a cubin/)
  }
})

test("a fatbin is accepted only as a whole", () => {
  assert.equal(refusal(fatbin), undefined)
  assert.equal(refusal(new Uint8Array([...fatbin, 0, 0])), undefined, "bytes after it are ignored")
  assert.deepEqual(takenBeginnings(fatbin), [])
})

test("a fatbin with an incomplete image is refused", () => {
  assert.match(refusal(fatbinOf(cubin.subarray(0, 200))) ?? "", /fatbin.+byte 80 is a truncated cubin/)
  const long = fatbin.slice()
  new DataView(long.buffer).setBigUint64(16 + 8, 1n << 40n, true)
  assert.match(refusal(long) ?? "", /fatbin whose entry at byte 16/)
})

test("the wrapper of a fatbin is refused: it contains an address of another process", () => {
  const wrapper = new Uint8Array(24)
  new DataView(wrapper.buffer).setUint32(0, 0x466243b1, true)
  assert.match(refusal(wrapper) ?? "", /wrapper.+give the fatbin itself/)
})

test("PTX is accepted with and without a zero at its end", () => {
  for (const end of ["", "\0", "\0\0"]) assert.equal(refusal(bytes(ptx + end)), undefined)
})

test("PTX that ends in a function or a comment is refused, and so are bytes that are not text", () => {
  const [body, end] = [ptx.indexOf("\n{"), ptx.lastIndexOf("}")]
  for (let length = body + 2; length < end; length++) {
    assert.match(refusal(bytes(ptx.slice(0, length))) ?? "", /truncated PTX/)
  }
  assert.match(refusal(bytes(`${ptx}/* more`)) ?? "", /truncated PTX/)
  assert.match(refusal(bytes(`${ptx}\0${ptx}`)) ?? "", /character \d+ is not allowed in PTX/)
  assert.match(refusal(new Uint8Array([0x7f, 69])) ?? "", /neither a cubin nor a fatbin/)
  assert.equal(refusal(Buffer.from(`// \u00e9\n${ptx}`, "latin1")), undefined, "a comment may be in any encoding")
})

test("an image without bytes is refused", () => {
  assert.match(refusal(new Uint8Array(0)) ?? "", /no bytes/)
})

onDouble("an incomplete image", () => {
  for (const [name, cuda] of Object.entries({
    cubin: { cubin: cubin.subarray(0, cubin.length / 2) },
    fatbin: { cubin: fatbin.subarray(0, fatbin.length - 1) },
    PTX: { ptx: ptx.slice(0, -3) },
    "PTX in bytes": { ptx: bytes(ptx.slice(0, -3)) },
  })) {
    test(`never reaches the driver: ${name}`, async () => {
      using driver = open()
      const before = double.count("cuLibraryLoadData")
      const error = thrownBy(() => driver.kernels.load(withCode(noop, cuda)))
      assert.ok(error instanceof AuxstreamError && error.code === "AUX_KERNEL_INVALID")
      await assert.rejects(driver.kernels.prepare(withCode(noop, cuda)), { code: "AUX_KERNEL_INVALID" })
      assert.equal(double.count("cuLibraryLoadData"), before)
      driver.kernels.load(withCode(noop))
    })
  }
})
