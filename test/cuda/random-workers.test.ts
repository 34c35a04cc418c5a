/** Workers that start, run concurrently and end in every way at any time: results stay right, and no memory is left. */
import assert from "node:assert/strict"
import { spawnSync } from "node:child_process"
import { test } from "node:test"
import { skip } from "./double.js"

/** Decides what the threads do, not how fast they run: a failing seed may need several runs. */
const seed = Number(process.env["AUXSTREAM_TEST_SEED"] ?? Date.now() % 1_000_000)

const library = new URL("../../src/index.js", import.meta.url).href
const kernels = new URL("../support/kernels.js", import.meta.url).href
const double = new URL("./double.js", import.meta.url).href
const random = new URL("../support/random.js", import.meta.url).href

/**
 * Fork-joins with known results, until `goesOn` returns false. After `sizes` rounds, their sizes repeat: then koffi is called for
 * nothing that it does not survive in a Worker that is terminated meanwhile (see docs/cuda.md), such as a new buffer.
 */
const work = `
  import { captureGraph, openDevice, parallel } from "${library}"
  import { affine, over } from "${kernels}"
  import { numbersFrom } from "${random}"
  const count = 500
  async function work(seed, goesOn, sizes = Infinity) {
    const random = numbersFrom(seed)
    const device = openDevice("cuda:0")
    const kept = []
    const known = []
    for (let round = 1; goesOn(round); round++) {
      const size = round > sizes ? known[random(sizes)] : count * (1 + random(random(4) === 0 ? 2000 : 100))
      known.push(size)
      const [left, right] = parallel([2, 3].map((factor) => () => {
        const x = device.full("int32", size, round)
        affine.launch(over(size), size, x, factor, 1)
        return x
      }))
      const [a, b] = await Promise.all([left.read(), right.read()])
      if (a[size - 1] !== 2 * round + 1 || b[0] !== 3 * round + 1) throw new Error("a wrong result in round " + round)
      left.dispose()
      if (random(2) === 0) right.dispose()
      else kept.push(right)
      if (round % 5 === 0) captureGraph(() => device.zeros("int32", 10).fill(1), { device }).launch(device.defaultStream)
    }
    return device
  }`

const worker = `
  import { parentPort, workerData } from "node:worker_threads"
  ${work}
  const { seed, rounds, ending } = workerData
  const sizes = 3
  const goesOn = (round) => {
    if (round === sizes + 1) parentPort.postMessage("working")
    return round <= rounds || ending === "terminate"
  }
  const device = await work(seed, goesOn, ending === "terminate" ? sizes : undefined)
  if (ending === "dispose") device.dispose()
  if (ending === "exit") process.exit(0)`

const main = `
  import { Worker } from "node:worker_threads"
  ${work}
  const endings = ["dispose", "end", "exit", "terminate"]
  const random = numbersFrom(${seed})
  let running = 0
  async function oneAfterAnother() {
    for (let i = 0; i < 4; i++) {
      const ending = endings[random(endings.length)]
      const workerData = { seed: random(1_000_000), rounds: 2 + random(20), ending }
      const worker = new Worker(new URL("data:text/javascript,${encodeURIComponent(worker)}"), { workerData })
      worker.on("error", (error) => { console.error(ending, error); process.exit(1) })
      const ended = new Promise((resolve) => worker.once("exit", resolve))
      const delay = random(30)
      if (ending === "terminate") worker.once("message", () => setTimeout(() => worker.terminate(), delay))
      await ended
    }
    running -= 1
  }
  const all = [1, 2, 3].map(() => { running += 1; return oneAfterAnother() })
  const device = await work(random(1_000_000), () => running > 0)
  await Promise.all(all)
  device.dispose()
  const { double } = await import("${double}")
  const end = performance.now() + 60_000
  while (double.alive().contexts > 0 && performance.now() < end) {
    openDevice("cuda:0").dispose()
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
  console.log(JSON.stringify(double.alive()))
  process.exit(0)`

test("§8 Workers that end badly, at random, leave no memory and do not disturb other threads", { skip }, () => {
  const { status, signal, stdout, stderr } = spawnSync(process.execPath, ["--input-type=module", "--eval", main], {
    encoding: "utf8",
    timeout: 300_000,
  })
  const message = `seed ${seed}, signal ${signal}: ${stdout}${stderr}`
  assert.equal(status, 0, message)
  const { contexts, pools, allocations, pinned } = JSON.parse(stdout) as Record<string, number>
  assert.deepEqual(
    { contexts, pools, allocations, pinned },
    { contexts: 0, pools: 0, allocations: 0, pinned: 0 },
    message,
  )
})
