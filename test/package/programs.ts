/** The program that a user writes first: two launches side by side on the host device, joined, read, given back. */
const body = `
const scale = defineKernel({
  name: "scale",
  signature: ["float32", "inout float32*"],
  host: {
    source: \`export function scale(launch, factor, values) {
      for (let i = 0; i < values.length; i++) values[i] *= factor
    }\`,
  },
})

async function main() {
  const device = openDevice("host")
  const a = device.from(new Float32Array([1, 2, 3]))
  const b = device.from(new Float32Array([4, 5, 6]))
  const aux = device.createStream()
  maybeExecuteInParallel(
    () => scale.launch({ grid: 1, block: 1 }, 2, a),
    () => scale.launch({ grid: 1, block: 1 }, 10, b),
    device.createEvent(),
    device.createEvent(),
    aux,
  )
  console.log([...(await a.read()), ...(await b.read())].join(" "))
  device.dispose()
}
`

/** What {@link body} prints. */
export const printed = "2 4 6 40 50 60"

export const moduleProgram = `
import { defineKernel, maybeExecuteInParallel, openDevice } from "auxstream"
${body}
await main()
`

export const commonJsProgram = `
const { defineKernel, maybeExecuteInParallel, openDevice } = require("auxstream")
${body}
main()
`

/** Without top-level await, as bundles in CommonJS need it, and telling by its code what went wrong. */
export const carefulProgram = `
import { AuxstreamError, defineKernel, maybeExecuteInParallel, openDevice } from "auxstream"
${body}
main().catch((error) => {
  console.log(error instanceof AuxstreamError ? error.code + ": " + error.message : "uncoded: " + error.stack)
})
`

/** In TypeScript, with the types written out that a user would write out. */
export const typedProgram = `
import { defineKernel, maybeExecuteInParallel, openDevice } from "auxstream"
import type { Device, DeviceArray, Event, HostKernel, Kernel, Stream } from "auxstream"
import { matmul } from "auxstream/blas"
${body}
const typed: Kernel<readonly ["float32", "inout float32*"]> = scale
export const onHost: HostKernel<typeof scale.signature> = (_launch, factor, values) => {
  values[0] = (values[0] ?? 0) * factor
}

export function doubled(device: Device, stream: Stream, values: DeviceArray<"float32">): [Event, void] {
  const [done] = maybeExecuteInParallel(
    () => stream.record(),
    () => typed.launch({ grid: 1, block: [32, 1] }, 2, values),
    null,
    null,
  )
  return [done, device.synchronize()]
}

export const product: typeof matmul = matmul

await main()
`

/** The same with \`using\`. */
export const usingProgram = `
import { defineKernel, openDevice, parallel } from "auxstream"

const fill = defineKernel({
  name: "fill",
  signature: ["int32", "out int32*"],
  host: { source: "export function fill(launch, value, out) { out.fill(value) }" },
})

using device = openDevice("host")
using a = device.empty("int32", 2)
using b = device.empty("int32", 2)
parallel([() => fill.launch({ grid: 1, block: 1 }, 7, a), () => fill.launch({ grid: 1, block: 1 }, 9, b)])
const values: Int32Array = await a.read()
console.log([...values, ...(await b.read())].join(" "))
`

/** What {@link usingProgram} prints. */
export const printedByUsing = "7 7 9 9"

/** Imports the package and tells in JSON how many milliseconds that took and which native libraries it brought. */
export const importProgram = `
const started = performance.now()
await import("auxstream")
const milliseconds = performance.now() - started
process.report.excludeNetwork = true
const native = process.report.getReport().sharedObjects.filter((path) => /\\.node$|koffi|libcuda|nvrtc|cublas/.test(path))
console.log(JSON.stringify({ milliseconds, native }))
`
