import assert from "node:assert/strict"
import { test } from "node:test"
import { LaunchShape } from "../../src/common/facts/launch-shape.js"
import type { Driver } from "../../src/driver/driver.js"
import type { EventHandle, StreamHandle } from "../../src/driver/handles.js"
import { AuxstreamError, CudaError, DeviceLostError } from "../../src/common/errors.js"
import {
  affine,
  completed,
  deviceIsLost,
  fault,
  kernel,
  launch,
  mark,
  never,
  onDouble,
  open,
  read,
  settled,
  takeWarnings,
  thrownBy,
  unknown,
  until,
} from "./device.js"
import { double } from "./double.js"

const illegalAddress = 700

interface Ready {
  readonly driver: Driver
  readonly stream: StreamHandle
  readonly other: StreamHandle
  readonly event: EventHandle
  readonly timed: EventHandle
  readonly address: number
  readonly kernel: number
}

function ready(driver: Driver): Ready {
  const stream = driver.streams.create(0)
  const timed = driver.events.create(true)
  driver.events.record(timed, stream)
  const address = driver.memory.allocate(1024, stream, never)
  driver.memory.upload(address, new Uint8Array(16), stream)
  driver.streams.synchronize(stream)
  // From now on the driver's pool has an event.
  driver.streams.destroy(driver.streams.create(0))
  return {
    driver,
    stream,
    other: driver.streams.create(0),
    event: driver.events.create(false),
    timed,
    address,
    kernel: driver.kernels.load(affine),
  }
}

/** The methods of a driver that a failing call makes throw. */
const throwing: Readonly<Record<string, (ready: Ready) => unknown>> = {
  createStream: ({ driver }) => driver.streams.create(0),
  adoptStream: ({ driver, stream }) => driver.streams.adopt(BigInt(stream)),
  queryStream: ({ driver, stream }) => driver.streams.query(stream),
  synchronizeStream: ({ driver, stream }) => driver.streams.synchronize(stream),
  createEvent: ({ driver }) => driver.events.create(false),
  recordEvent: ({ driver, event, stream }) => driver.events.record(event, stream),
  waitEvent: ({ driver, timed, other }) => driver.streams.wait(other, timed),
  queryEvent: ({ driver, timed }) => driver.events.query(timed),
  synchronizeEvent: ({ driver, timed }) => driver.events.synchronize(timed),
  elapsedTime: ({ driver, timed }) => driver.events.elapsedTime(timed, timed),
  whenComplete: ({ driver, event }) => driver.events.whenComplete(event, () => {}),
  allocate: ({ driver, stream }) => driver.memory.allocate(2 ** 26, stream, never),
  drainFrees: ({ driver, stream }) => {
    driver.memory.free(driver.memory.allocate(256, stream, never), stream, mark)
    driver.memory.drainFrees()
  },
  memoryUsage: ({ driver }) => driver.memory.usage(),
  properties: ({ driver }) => driver.properties,
  kernelAttributes: ({ driver, kernel }) => driver.kernels.attributes(kernel),
  blocksPerMultiprocessor: ({ driver, kernel }) => driver.kernels.blocksPerMultiprocessor(kernel, 64, 50_000),
  suggestBlock: ({ driver, kernel }) => driver.kernels.suggestBlock(kernel, 50_000, 1024),
  trim: ({ driver }) => driver.memory.trim(),
  allocatePinned: ({ driver }) => driver.memory.freePinned(driver.memory.allocatePinned(2 ** 20).address),
  copy: ({ driver, address, stream }) => driver.memory.copy(address, address + 256, 256, stream),
  upload: ({ driver, address, stream }) =>
    driver.memory.upload(address, new Uint8Array(2 ** 15).subarray(0, 1024), stream),
  "fill of 1 byte": ({ driver, address, stream }) => driver.memory.fill(address, new Uint8Array(1), 8, stream),
  "fill of 2 bytes": ({ driver, address, stream }) => driver.memory.fill(address, new Uint8Array(2), 8, stream),
  "fill of 4 bytes": ({ driver, address, stream }) => driver.memory.fill(address, new Uint8Array(4), 8, stream),
  "fill of 8 bytes": ({ driver, address, stream }) =>
    driver.memory.fill(address, new Uint8Array([1, 0, 0, 0, 0, 0, 0, 0]), 8, stream),
  copyRows: ({ driver, address, stream }) =>
    driver.memory.copyRows({ address, pitch: 64 }, { address: address + 256, pitch: 16 }, 16, 4, stream),
  "fillRows of 1 byte": ({ driver, address, stream }) =>
    driver.memory.fillRows({ address, pitch: 512 }, new Uint8Array(1), 512, 2, stream),
  "fillRows of 2 bytes": ({ driver, address, stream }) =>
    driver.memory.fillRows({ address, pitch: 512 }, new Uint8Array(2), 256, 2, stream),
  "fillRows of 4 bytes": ({ driver, address, stream }) =>
    driver.memory.fillRows({ address, pitch: 512 }, new Uint8Array(4), 128, 2, stream),
  "fillRows of 8 bytes": ({ driver, address, stream }) =>
    driver.memory.fillRows({ address, pitch: 64 }, new Uint8Array([1, 0, 0, 0, 0, 0, 0, 0]), 4, 4, stream),
  loadKernel: ({ driver }) => driver.kernels.load(kernel("test_noop", [])),
  launch: ({ driver, address, kernel, stream }) =>
    driver.kernels.launch(stream, kernel, LaunchShape.of(), [1, { address, length: 1 }, 2, 1], undefined),
  "launch with attributes": ({ driver, address, kernel, stream }) =>
    driver.kernels.launch(stream, kernel, LaunchShape.of({ sharedMemory: 50_000 }), [1, { address, length: 1 }, 2, 1], {
      cooperative: true,
      cluster: [16, 1, 1],
    }),
}

/** Calls whose failure does not fail the method, because nothing can or must be done about it. */
const harmless: Readonly<Record<string, readonly string[]>> = {
  // The thread's current context cannot be restored, but none of our calls relies on it.
  "*": ["cuCtxPopCurrent_v2"],
  // The stream's progress is queried again when memory is needed.
  drainFrees: ["cuEventRecord", "cuEventCreate", "cuCtxPushCurrent_v2"],
  // Whether a copy is done is asked again.
  trim: ["cuEventQuery"],
  // A stream whose end cannot be marked is destroyed later.
  destroyStream: ["cuEventRecord"],
  // Earlier copies are queried again.
  allocatePinned: ["cuEventQuery"],
  // The copy is queued: its staging memory leaks, with a warning.
  upload: ["cuEventQuery", "cuEventRecord", "cuEventCreate", "cuCtxPushCurrent_v2"],
  // A failure marks the end of the parameters; the compiler's object is destroyed by its handle.
  loadKernel: ["cuKernelGetParamInfo", "nvrtcDestroyProgram"],
}

function isHarmless(method: string, call: string): boolean {
  return [...(harmless["*"] ?? []), ...(harmless[method] ?? [])].includes(call)
}

/** The error is a `CudaError` that names the call and its status. */
function checkError(call: string, error: unknown): void {
  assert.ok(error instanceof AuxstreamError && !(error instanceof DeviceLostError), `${call}: ${String(error)}`)
  if (!call.startsWith("cu")) return
  const cause = error instanceof CudaError ? error : error.cause
  assert.ok(cause instanceof CudaError, `${call}: ${String(error)}`)
  assert.equal(cause.status, "CUDA_ERROR_UNKNOWN")
  assert.ok(call.startsWith(cause.call), `${call} is reported as ${cause.call}`)
}

/** Checks that the device still works. */
function checkUsable(driver: Driver): void {
  const stream = driver.streams.create(0)
  const event = driver.events.create(false)
  const address = driver.memory.allocate(64, stream, never)
  driver.memory.upload(address, new Uint8Array([3, 0, 0, 0]), stream)
  launch(driver, stream, affine, 1, { address, length: 1 }, 2, 1)
  driver.events.record(event, stream)
  driver.events.synchronize(event)
  assert.equal(read(driver, address, 4, stream)[0], 7)
  driver.memory.free(address, stream, mark)
  driver.events.destroy(event)
  driver.streams.destroy(stream)
}

/** Runs a test on a new device, and waits until it is closed, because the next test would share its context. */
async function alone(test: (ready: Ready) => unknown): Promise<void> {
  {
    using driver = open()
    await test(ready(driver))
  }
  await until(() => double.alive().contexts === 0)
}

/** The names of the calls that a method makes. Queries are listed once, because their number depends on timing. */
async function callsOf(run: (ready: Ready) => unknown): Promise<string[]> {
  let calls: string[] = []
  await alone((everything) => {
    calls = double.log(() => run(everything)).map(([name]) => String(name))
  })
  return calls.filter((name, index) => !/^cu(Event|Stream)Query$/.test(name) || calls.indexOf(name) === index)
}

onDouble("each call failing in turn", () => {
  for (const [method, run] of Object.entries(throwing)) {
    test(`${method} throws, leaves nothing behind and the device usable`, async () => {
      // Without a cache, so that a kernel is compiled each time.
      process.env["AUXSTREAM_CACHE_DIR"] = "/dev/null/none"
      const calls = await callsOf(run)
      assert.ok(calls.length > 0)
      const seen = new Map<string, number>()
      for (const call of calls) {
        const nth = (seen.get(call) ?? 0) + 1
        seen.set(call, nth)
        if (isHarmless(method, call)) continue
        await alone((everything) => {
          const before = double.alive()
          double.fail(call, nth, unknown)
          checkError(
            call,
            thrownBy(() => run(everything)),
          )
          assert.equal(double.failuresLeft(), 0, `${call} was not called again`)
          // Pinned memory is kept for reuse.
          assert.deepEqual({ ...double.alive(), pinned: 0 }, { ...before, pinned: 0 }, `${call} left something behind`)
          checkUsable(everything.driver)
        })
      }
    })
  }

  test("an upload whose staging memory cannot be watched still succeeds, with a warning", async () => {
    using driver = open()
    const { address, stream } = ready(driver)
    driver.streams.synchronize(stream)
    double.fail("cuEventRecord", 1, unknown)
    driver.memory.upload(address, new Uint8Array([9]), stream)
    assert.equal(read(driver, address, 1, stream)[0], 9)
    const [warning] = await takeWarnings()
    assert.match(warning?.message ?? "", /pinned memory of an upload is leaked/)
    checkUsable(driver)
    // The memory leaks until its context is released.
    deviceIsLost()
  })

  const quiet: Readonly<Record<string, (ready: Ready) => void>> = {
    destroyStream: ({ driver, other }) => driver.streams.destroy(other),
    destroyEvent: ({ driver, event }) => driver.events.destroy(event),
  }
  for (const [method, run] of Object.entries(quiet)) {
    test(`${method} warns of a leak and does not throw`, async () => {
      for (const call of await callsOf(run)) {
        if (isHarmless(method, call)) continue
        await alone(async (everything) => {
          double.fail(call, 1, unknown)
          run(everything)
          assert.equal(double.failuresLeft(), 0)
          const [warning, ...others] = await takeWarnings()
          assert.match(warning?.message ?? "", /cuda:0.+CUDA_ERROR_UNKNOWN/, `${call} said nothing`)
          assert.equal(others.length, 0)
          checkUsable(everything.driver)
        })
        double.forgetLost()
      }
    })
  }

  test("closing continues if something cannot be freed, and warns", async () => {
    const calls = double.log(() => {
      const driver = open()
      ready(driver)
      driver.close()
    })
    await until(() => double.alive().contexts === 0)
    const destroying = new Set(
      calls.map(([name]) => String(name)).filter((name) => /Destroy|Unload|FreeHost/.test(name)),
    )
    for (const call of ["cuMemPoolDestroy", "cuLibraryUnload", "cuEventDestroy_v2", "cuMemFreeHost", ...destroying]) {
      if (call.startsWith("nvrtc")) continue
      const driver = open()
      ready(driver)
      double.fail(call, 1, unknown)
      driver.close()
      await until(() => double.alive().contexts === 0)
      assert.equal(double.failuresLeft(), 0, call)
      const [warning] = await takeWarnings()
      assert.match(warning?.message ?? "", /CUDA_ERROR_UNKNOWN/, call)
      double.forgetLost()
    }
  })
})

onDouble("a lost device", () => {
  test("throws the first failure's loss from every method, frees and destroys quietly, and closes", async () => {
    using driver = open()
    const everything = ready(driver)
    const pinned = driver.memory.allocatePinned(64)
    deviceIsLost()
    launch(driver, everything.stream, fault)
    const loss = thrownBy(() => driver.streams.synchronize(everything.stream))
    assert.ok(loss instanceof DeviceLostError)
    assert.match(loss.message, /^cuda:0 \(CUDA double 0\) is lost: cuStreamSynchronize failed with CUDA_ERROR_ILLEGAL/)
    assert.match(loss.message, /restart the process/)
    assert.ok(loss.cause instanceof CudaError)
    assert.deepEqual([loss.cause.call, loss.cause.status], ["cuStreamSynchronize", "CUDA_ERROR_ILLEGAL_ADDRESS"])
    assert.equal(
      thrownBy(() => driver.memory.drainFrees()),
      loss,
    )
    for (const [method, run] of Object.entries(throwing)) {
      const calls = double.log(() => {
        // Pinned memory may still exist.
        if (method === "allocatePinned")
          assert.equal(
            thrownBy(() => driver.memory.allocatePinned(2 ** 21)),
            loss,
          )
        else
          assert.equal(
            thrownBy(() => run(everything)),
            loss,
            method,
          )
      })
      const reached = calls.map(([name]) => String(name)).filter((name) => name.startsWith("cu"))
      assert.deepEqual(reached, [], `${method} still calls the driver`)
    }
    await assert.rejects(driver.kernels.prepare(kernel("test_noop", [])), (error) => error === loss)
    const calls = double.log(() => {
      driver.memory.free(everything.address, everything.stream, mark)
      driver.events.destroy(everything.event)
      driver.streams.destroy(everything.other)
      driver.memory.freePinned(pinned.address)
    })
    assert.deepEqual(calls, [])
  })

  test("is noticed by the first call after the fault, whichever it is", async () => {
    for (const [method, run] of Object.entries(throwing)) {
      for (const call of new Set(await callsOf(run))) {
        if (isHarmless(method, call) || !call.startsWith("cu")) continue
        await alone((everything) => {
          double.fail(call, 1, illegalAddress)
          const loss = thrownBy(() => run(everything))
          assert.ok(loss instanceof DeviceLostError, `${method}, ${call}: ${String(loss)}`)
          assert.equal(
            thrownBy(() => everything.driver.streams.create(0)),
            loss,
          )
        })
        double.forgetLost()
      }
    }
  })

  test("is noticed by a free and by a destroy, which return quietly", async () => {
    const cases: [string, (ready: Ready) => void][] = [
      ["cuEventRecord", ({ driver, address, stream }) => driver.memory.free(address, stream, mark)],
      ["cuEventDestroy_v2", ({ driver, event }) => driver.events.destroy(event)],
      ["cuStreamDestroy_v2", ({ driver, other }) => driver.streams.destroy(other)],
      ["cuEventRecord", ({ driver, other }) => driver.streams.destroy(other)],
    ]
    for (const [call, run] of cases) {
      await alone((everything) => {
        double.fail(call, 1, illegalAddress)
        run(everything)
        assert.equal(double.failuresLeft(), 0)
        assert.ok(thrownBy(() => everything.driver.streams.create(0)) instanceof DeviceLostError)
      })
      double.forgetLost()
    }
  })

  test("can be opened again once its context is released", async () => {
    const driver = open()
    const stream = driver.streams.create(0)
    launch(driver, stream, fault)
    await assert.rejects(async () => completed(driver, stream), DeviceLostError)
    driver.close()
    await until(() => double.alive().contexts === 0)
    double.forgetLost()
    using next = open()
    checkUsable(next)
    const nextStream = next.streams.create(0)
    const event = next.events.create(false)
    next.events.record(event, nextStream)
    await settled(next, event)
  })
})
