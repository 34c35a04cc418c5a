import { availableParallelism } from "node:os"
import { after, before, describe } from "node:test"
import { HostDriver } from "../../src/host/driver.js"
import { type Device, listDevices, openDevice } from "../../src/index.js"
import * as kernels from "./kernels.js"
import { Device as DeviceClass } from "../../src/runtime/device/device.js"

/** One more than the most latches that a test holds at a time. */
const hostThreads = 4

interface Present {
  readonly id: string
  open(): Device
}

/** CUDA loads no kernel while a latch is closed, so the kernels that tests launch meanwhile are loaded before. */
function openCuda(id: `cuda:${number}`): Device {
  const device = openDevice(id)
  for (const kernel of [
    kernels.latch,
    kernels.affine,
    kernels.affineOfStruct,
    kernels.combine,
    kernels.spin,
    kernels.timed,
    kernels.fill,
    kernels.add,
  ]) {
    kernel.load(device)
  }
  return device
}

/** The host, and every CUDA device. */
const found: readonly Present[] = [
  { id: "host", open: () => openDevice("host", { threads: hostThreads }) },
  ...listDevices()
    .filter(({ kind, usable }) => kind === "cuda" && usable)
    .map((_, ordinal) => ({ id: `cuda:${ordinal}`, open: () => openCuda(`cuda:${ordinal}`) })),
]

/** The devices that the suites run over: the host and the first GPU, or the one that AUXSTREAM_TEST_DEVICE names. */
const only = process.env["AUXSTREAM_TEST_DEVICE"]
const present = found.filter(({ id }) => (only === undefined ? id === "host" || id === "cuda:0" : id === only))
if (present.length === 0) throw new Error(`AUXSTREAM_TEST_DEVICE names ${only}, which cannot be used here`)

/**
 * Describes the same tests for every device. `open` gives the device; each test disposes of what it opened.
 *
 * @example
 * forEachDevice("streams", (open) => {
 *   test("§3 …", () => {
 *     using device = open()
 *   })
 * })
 */
export function forEachDevice(name: string, tests: (open: () => Device, id: string) => void): void {
  for (const { id, open } of present) describe(`${name} on ${id}`, () => tests(open, id))
}

/** The same, but the device stays open between tests, which saves opening it for each. */
export function forEachOpenDevice(name: string, tests: (open: () => Device) => void): void {
  forEachDevice(name, (open) => {
    let kept: Device | undefined
    before(() => {
      kept = open()
    })
    after(() => kept?.dispose())
    tests(open)
  })
}

/** Only on the host device, for its own behaviour: kernels that throw, workers that die. */
export function onHost(name: string, tests: (open: () => Device) => void): void {
  const host = present.find(({ id }) => id === "host")
  if (host !== undefined) describe(`${name} on host`, () => tests(host.open))
}

/** A second device, unknown to `openDevice`. The first device refuses its objects. */
export function openOther(): Device {
  return new DeviceClass("cuda:99", new HostDriver(2, availableParallelism(), "another host"), () => {})
}
