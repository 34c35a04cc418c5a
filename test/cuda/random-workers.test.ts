/** Workers that start, run concurrently and end in every way at any time: results stay right, and no memory is left. */
import assert from "node:assert/strict"
import { spawnSync } from "node:child_process"
import { test } from "node:test"
import { skip } from "./double.js"

const library = new URL("../../src/index.js", import.meta.url).href
const kernels = new URL("../support/kernels.js", import.meta.url).href
const double = new URL("./double.js", import.meta.url).href

/** Fork-joins with known results, until `goesOn` returns false. */
const work = `
  import { captureGraph, openDevice, parallel } from "${library}"
  import { affine, over } from "${kernels}"
  const count = 500
  async function work(goesOn) {
    const device = openDevice("cuda:0")
    const kept = []
    for (let round = 1; goesOn(round); round++) {
      const size = count * (1 + Math.floor(Math.random() * 2000))
      const [left, right] = parallel([2, 3].map((factor) => () => {
        const x = device.full("int32", size, round)
        affine.launch(over(size), size, x, factor, 1)
        return x
      }))
      const [a, b] = await Promise.all([left.read(), right.read()])
      if (a[size - 1] !== 2 * round + 1 || b[0] !== 3 * round + 1) throw new Error("a wrong result in round " + round)
      left.dispose()
      if (Math.random() < 0.5) right.dispose()
      else kept.push(right)
      if (round % 5 === 0) captureGraph(() => device.zeros("int32", 10).fill(1), { device }).launch(device.defaultStream)
    }
    return device
  }`

const worker = `
  import { parentPort, workerData } from "node:worker_threads"
  ${work}
  const { rounds, ending } = workerData
  const device = await work((round) => {
    if (round === 2) parentPort.postMessage("working")
    return round <= rounds || ending === "terminate"
  })
  if (ending === "dispose") device.dispose()
  if (ending === "exit") process.exit(0)`

const main = `
  import { Worker } from "node:worker_threads"
  ${work}
  const endings = ["dispose", "end", "exit", "terminate"]
  const random = (most) => 2 + Math.floor(Math.random() * most)
  let running = 0
  async function oneAfterAnother() {
    for (let i = 0; i < 4; i++) {
      const ending = endings[Math.floor(Math.random() * endings.length)]
      const workerData = { rounds: random(20), ending }
      const worker = new Worker(new URL("data:text/javascript,${encodeURIComponent(worker)}"), { workerData })
      worker.on("error", (error) => { console.error(ending, error); process.exit(1) })
      const ended = new Promise((resolve) => worker.once("exit", resolve))
      if (ending === "terminate") worker.once("message", () => setTimeout(() => worker.terminate(), Math.random() * 30))
      await ended
    }
    running -= 1
  }
  const all = [1, 2, 3].map(() => { running += 1; return oneAfterAnother() })
  const device = await work(() => running > 0)
  await Promise.all(all)
  device.dispose()
  const { double } = await import("${double}")
  const end = performance.now() + 20_000
  while (double.alive().contexts > 0 && performance.now() < end) {
    openDevice("cuda:0").dispose()
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
  const { allocations, pinned, pools } = double.alive()
  console.log("left", allocations, pinned, pools)
  process.exit(0)`

test("§8 Workers that end badly, at random, leave no memory and do not disturb other threads", { skip }, () => {
  const { status, stdout, stderr } = spawnSync(process.execPath, ["--input-type=module", "--eval", main], {
    encoding: "utf8",
    timeout: 120_000,
  })
  assert.equal(status, 0, stderr)
  assert.match(stdout, /left 0 0 0/, stderr)
})
