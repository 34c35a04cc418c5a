import { describe, test } from "node:test"
import { matmul } from "../../../src/blas/index.js"
import { captureGraph, defineKernel, executeInParallel, fork, openDevice, parallel } from "../../../src/index.js"
import { affine, once } from "../../support/kernels.js"
import { at, type Case, device, event, fn, loose, refuses, rejects, x } from "./bench.js"

/** A call with an unknown option, the wrong name, and the name that was probably meant. */
function misspelt(call: () => unknown, wrong: string, right: string): Case {
  return [call, "AUX_INVALID_ARGUMENT", wrong, right]
}

const define = (definition: object) => () => Reflect.apply(defineKernel, undefined, [definition]) as unknown
const launch = (options: object) => () => Reflect.apply(affine.launch, affine, [options, 4, x, 1, 1]) as unknown
const execute = (options: object) =>
  Reflect.apply(executeInParallel, undefined, [fn, [fn], event, [event], [at.aux], options]) as unknown

describe("§8 bad input: options that do not exist", () => {
  refuses("of devices, streams and events", () => [
    misspelt(() => Reflect.apply(openDevice, undefined, ["host", { thread: 2 }]), "thread", "threads"),
    misspelt(() => loose(device, "createStream")({ prority: 0 }), "prority", "priority"),
    misspelt(() => loose(device, "createStream")({ name: "a", timing: true }), "timing", "name"),
    misspelt(() => loose(device, "createEvent")({ time: true }), "time", "timing"),
    misspelt(() => loose(at.main, "external")({ read: [x] }, fn), "read", "reads"),
    misspelt(() => Reflect.apply(captureGraph, undefined, [fn, { devise: device }]), "devise", "device"),
  ])
  refuses("of kernels and launches", () => [
    misspelt(define({ name: "k", signature: [], hosts: { source: "" } }), "hosts", "host"),
    misspelt(define({ name: "k", signature: [], host: { source: "", exports: "k" } }), "exports", "export"),
    misspelt(define({ name: "k", signature: [], host: { source: "", options: [] } }), "options", "export"),
    misspelt(define({ name: "k", signature: [], cuda: { source: "", option: [] } }), "option", "options"),
    misspelt(define({ name: "k", signature: [], cuda: { ptx: "", options: [] } }), "options", "ptx"),
    misspelt(launch({ ...once, sharedMem: 4 }), "sharedMem", "sharedMemory"),
    misspelt(launch({ ...once, strem: undefined }), "strem", "stream"),
    misspelt(launch({ ...once, uses: { write: [x] } }), "write", "writes"),
  ])
  refuses("of forks, joins and products", () => [
    misspelt(() => Reflect.apply(fork, undefined, [fn, { streams: at.aux }]), "streams", "stream"),
    misspelt(() => Reflect.apply(parallel, undefined, [[fn, fn], { enabled: false }]), "enabled", "enable"),
    misspelt(() => execute({ enabled: false }), "enabled", "enable"),
    misspelt(() => Reflect.apply(matmul, undefined, [{ a: x, b: x, out: x, m: 1, n: 1, k: 1, c: x }]), "c", "out"),
    misspelt(
      () => {
        const y = device.zeros("float32", 1)
        try {
          return Reflect.apply(matmul, undefined, [{ a: y, b: y, out: y, m: 1, n: 1, k: 1, batch: { counts: 1 } }])
        } finally {
          y.dispose()
          at.recording.take()
        }
      },
      "counts",
      "count",
    ),
  ])
  for (const [name, target] of [
    ["device", device],
    ["stream", at.main],
    ["event", event],
  ] as const) {
    rejects(`of ${name}.completed`, () => [
      misspelt(() => loose(target, "completed")({ sginal: 1 }), "sginal", "signal"),
    ])
  }

  test("inherited properties are no options", () => {
    const withMore = (options: object): object => Object.setPrototypeOf(options, { polluted: 1 }) as object
    loose(device, "createStream")(withMore({ name: "a" }))
    launch(withMore({ ...once }))()
  })
})
