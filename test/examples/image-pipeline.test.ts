import assert from "node:assert/strict"
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { after, describe, test } from "node:test"
import { openDevice } from "auxstream"
import { blur, enhance, prepare, sobel, upload } from "../../examples/image-pipeline/pipeline.js"
import { readPng, writePng, type Picture } from "../../examples/image-pipeline/png.js"
import { project, runExample } from "./run.js"

const folder = mkdtempSync(join(tmpdir(), "auxstream-image-pipeline-"))
const cat = join(project, "examples/image-pipeline/cat.png")

function run(...args: string[]) {
  return runExample("image-pipeline/main", ...args)
}

/** A value of one plane. Beyond the picture, its edge continues. */
function at({ width, height, channels, data }: Picture, plane: number, x: number, y: number): number {
  const [column, row] = [Math.min(Math.max(x, 0), width - 1), Math.min(Math.max(y, 0), height - 1)]
  return (data[(row * width + column) * channels + plane] ?? NaN) / 255
}

/** Compares planes with a function of plane, column and row. */
function assertPlanes(values: Float32Array, { width, height }: Picture, of: typeof at, picture: Picture): void {
  values.forEach((value, i) => {
    const plane = Math.floor(i / (width * height))
    const expected = of(picture, plane, i % width, Math.floor(i / width) % height)
    assert.ok(Math.abs(value - expected) < 1e-5, `plane ${plane}, pixel ${i % width}: ${value}, not ${expected}`)
  })
}

describe("the image pipeline", () => {
  after(() => rmSync(folder, { recursive: true }))

  test("writes the same picture with its branches in parallel and in sequence", () => {
    const [parallel, sequential] = [join(folder, "parallel.png"), join(folder, "sequential.png")]
    for (const outcome of [run("--output", parallel), run("--output", sequential, "--sequential")]) {
      assert.equal(outcome.errors, "")
      assert.equal(outcome.exitCode, 0)
    }
    const [before, result] = [readPng(readFileSync(cat)), readPng(readFileSync(parallel))]
    assert.deepEqual(readPng(readFileSync(sequential)), result)
    assert.deepEqual([result.width, result.height, result.channels], [before.width, before.height, before.channels])
    const changed = result.data.filter((value, i) => value !== before.data[i]).length
    assert.ok(changed > result.data.length / 2, `only ${changed} bytes of ${result.data.length} changed`)
  })

  test("finds the same edges as plain JavaScript", async () => {
    using device = openDevice("host")
    const picture = readPng(readFileSync(cat))
    using bytes = device.from(picture.data)
    const image = upload(bytes, picture)
    const edges = sobel(image)
    assertPlanes(await edges.values.read(), picture, steepness, picture)
    for (const { values } of [image, edges]) values.dispose()
  })

  function steepness(picture: Picture, plane: number, x: number, y: number): number {
    let [across, down] = [0, 0]
    for (const away of [-1, 0, 1]) {
      const weight = away === 0 ? 2 : 1
      across += weight * (at(picture, plane, x + 1, y + away) - at(picture, plane, x - 1, y + away))
      down += weight * (at(picture, plane, x + away, y + 1) - at(picture, plane, x + away, y - 1))
    }
    return Math.hypot(across, down)
  }

  test("blurs like a two-dimensional Gaussian", async () => {
    using device = openDevice("host")
    const picture = {
      width: 13,
      height: 9,
      channels: 1,
      data: Uint8Array.from({ length: 117 }, (_, i) => (i * 89) % 251),
    }
    using bytes = device.from(picture.data)
    const image = upload(bytes, picture)
    const blurred = blur(image, 3)
    assertPlanes(await blurred.values.read(), picture, gaussianMean, picture)
    for (const { values } of [image, blurred]) values.dispose()
  })

  function gaussianMean(picture: Picture, plane: number, x: number, y: number): number {
    let [sum, weights] = [0, 0]
    for (let dy = -3; dy <= 3; dy++) {
      for (let dx = -3; dx <= 3; dx++) {
        const weight = Math.exp(-(dx * dx + dy * dy) / (2 * 1.5 ** 2))
        sum += weight * at(picture, plane, x + dx, y + dy)
        weights += weight
      }
    }
    return sum / weights
  }

  test("leaves alpha unchanged, accepts gray pictures and single pixels, and leaks no memory", async () => {
    using device = openDevice("host")
    await prepare(device)
    const used = device.memory.used
    for (const [width, height, channels] of [
      [5, 4, 4],
      [7, 3, 2],
      [1, 1, 1],
      [2, 1, 3],
    ] as const) {
      const data = Uint8Array.from({ length: width * height * channels }, (_, i) => (i * 37) % 256)
      const result = await enhance(device, { width, height, channels, data })
      assert.equal(result.data.length, data.length)
      if (channels % 2 === 1) continue
      const alphaOf = (bytes: Uint8Array) => bytes.filter((_, i) => i % channels === channels - 1)
      assert.deepEqual(alphaOf(result.data), alphaOf(data))
    }
    assert.equal(device.memory.used, used)
  })

  const truncated = join(folder, "truncated.png")
  writeFileSync(truncated, readFileSync(cat).subarray(0, 1000))
  const output = join(folder, "unwritten.png")
  const bad: [string, string[], RegExp][] = [
    ["no output named", [], /--output/],
    ["no such file", ["--output", output, "--input", join(folder, "none.png")], /no such file/],
    ["a folder", ["--output", output, "--input", folder], /folder/],
    ["no picture", ["--output", output, "--input", join(project, "LICENSE")], /not a PNG/],
    ["a picture cut off", ["--output", output, "--input", truncated], /too early/],
    ["a place that cannot be written", ["--output", join(folder, "none/unwritten.png")], /Cannot write/],
    ["an option that is none", ["--output", output, "--inptu", cat], /--inptu/],
    ["a value too many", ["--output", output, cat], /cat\.png/],
    ["a device that is none", ["--output", output, "--device", "gpu"], /"host"/],
  ]
  for (const [what, args, sentence] of bad) {
    test(`reports a user error in one sentence, and exits with 2: ${what}`, () => {
      const { exitCode, output, errors } = run(...args)
      assert.equal(exitCode, 2)
      assert.equal(output, "")
      assert.match(errors, sentence)
      assert.equal(errors.trimEnd().split("\n").length, 1, errors)
    })
  }

  test("reads back what it writes", () => {
    const picture = readPng(readFileSync(cat))
    assert.deepEqual(readPng(writePng(picture)), picture)
  })
})
