/**
 * Two layers of language models whose products run side by side, eagerly, without a graph: a linear layer beside its LoRA
 * adapter, and routed experts beside a shared one. Both consist of products only.
 *
 *   node build/examples/lora-and-experts.js [--small]
 */
import { type Device, type DeviceArray, fromFloat32, openDevice, parallel, withMultiStream } from "auxstream"
import { matmul, matmulGrouped, prepareMatmul } from "auxstream/blas"

const device = openDevice()
/** The sizes of real models are too much for the host device. */
const isLarge = device.kind === "cuda" && !process.argv.includes("--small")

/** Numbers between -0.1 and 0.1, as bfloat16. */
function random(length: number): DeviceArray<"bfloat16"> {
  const numbers = Float32Array.from({ length }, (_, i) => (((i * 7919) % 1009) / 1009 - 0.5) / 5)
  return device.from(fromFloat32(numbers, "bfloat16"), "bfloat16")
}

const empty = (length: number) => device.empty("bfloat16", length)

/** y = x · W^T + (x · A^T) · B^T. The adapter's first product is small enough to run beside the layer's own. */
function loraLayer() {
  const [m, k, n, rank] = isLarge ? [32, 4096, 11008, 64] : [8, 256, 512, 16]
  const [x, weights, down, up] = [random(m * k), random(n * k), random(rank * k), random(n * rank)]
  const [y, small] = [empty(m * n), empty(m * rank)]
  const transposeB = true
  const shapes = {
    layer: { m, n, k, transposeB },
    shrink: { m, n: rank, k, transposeB },
    expand: { m, n, k: rank, transposeB, beta: 1 },
  }
  const layer = { a: x, b: weights, out: y, ...shapes.layer }
  const shrink = { a: x, b: down, out: small, ...shapes.shrink }
  const expand = { a: small, b: up, out: y, ...shapes.expand }
  const prepare = () =>
    Promise.all(Object.values(shapes).map((shape) => prepareMatmul(device, { dtype: "bfloat16", ...shape })))
  const run = () => {
    parallel([() => matmul(layer), () => matmul(shrink)])
    matmul(expand) // Added to the layer's result, behind the join.
  }
  return { name: "a linear layer beside its LoRA adapter", prepare, run, result: y }
}

/** Tokens are sorted by expert, so that each expert has some rows of x. All tokens go through the shared expert, too. */
function expertLayer() {
  const [hidden, inner, shared] = isLarge ? [2048, 1408, 2816] : [128, 96, 192]
  const rowsOfExpert = [2, 1, 0, 3, 1, 1]
  const tokens = rowsOfExpert.reduce((sum, rows) => sum + rows)
  const starts = rowsOfExpert.map((_, expert) => rowsOfExpert.slice(0, expert).reduce((sum, rows) => sum + rows, 0))
  const x = random(tokens * hidden)
  const [up, down] = [random(6 * inner * hidden), random(6 * hidden * inner)]
  const [sharedUp, sharedDown] = [random(shared * hidden), random(hidden * shared)]
  const [activated, sharedActivated, y] = [empty(tokens * inner), empty(tokens * shared), empty(tokens * hidden)]
  const transposeB = true
  /** The products of all experts with one of their matrices. */
  const experts = (
    a: DeviceArray<"bfloat16">,
    b: DeviceArray<"bfloat16">,
    out: DeviceArray<"bfloat16">,
    n: number,
    k: number,
  ) =>
    rowsOfExpert.map((m, expert) => {
      const first = starts[expert] ?? 0
      return {
        a: a.subarray(first * k),
        b: b.subarray(expert * n * k),
        out: out.subarray(first * n),
        m,
        n,
        k,
        transposeB,
      }
    })
  const ups = experts(x, up, activated, inner, hidden).map((product) => ({ ...product, activation: "gelu" as const }))
  const downs = experts(activated, down, y, hidden, inner)
  const sharedFirst = { a: x, b: sharedUp, out: sharedActivated, m: tokens, n: shared, k: hidden, transposeB }
  const sharedSecond = {
    a: sharedActivated,
    b: sharedDown,
    out: y,
    m: tokens,
    n: hidden,
    k: shared,
    transposeB,
    beta: 1,
  }
  const run = () => {
    parallel([
      () => {
        matmulGrouped(ups)
        matmulGrouped(downs)
      },
      () => matmul({ ...sharedFirst, activation: "gelu" }),
    ])
    matmul(sharedSecond) // Added to the routed experts' results, behind the join.
  }
  return { name: "routed experts beside a shared expert", prepare: () => Promise.resolve(), run, result: y }
}

/** Microseconds of a layer, until all is done. */
function time(device: Device, run: () => void, layers = isLarge ? 50 : 5): number {
  const started = performance.now()
  for (let layer = 0; layer < layers; layer++) run()
  device.synchronize()
  return ((performance.now() - started) * 1000) / layers
}

for (const { name, prepare, run, result } of [loraLayer(), expertLayer()]) {
  await prepare()
  const ways = [true, false].map((isParallel) => {
    const inThisWay = () => withMultiStream(isParallel, run)
    for (let turn = 0; turn < 3; turn++) time(device, inThisWay) // Warms up.
    result.fill(0)
    return { microseconds: time(device, inThisWay), bits: result.readSync() }
  })
  const [sideBySide, inSequence] = ways
  if (sideBySide === undefined || inSequence === undefined) throw new Error("both ways are measured")
  const isEqual = sideBySide.bits.every((bits, i) => bits === inSequence.bits[i])
  console.log(
    `${name}: ${inSequence.microseconds.toFixed(1)} µs in sequence, ${sideBySide.microseconds.toFixed(1)} µs side by side; ` +
      `the results are ${isEqual ? "equal" : "different"}`,
  )
}
device.dispose()
