/**
 * Opens, uses and disposes of the device repeatedly, and prints the driver's count of used memory afterwards as JSON. It is a
 * separate program because dispose() does not close a device that is also open elsewhere.
 */

import { setTimeout as after } from "node:timers/promises"
import { openDevice } from "auxstream"
import { driver } from "./driver.js"

const rounds = 20

/** Closing waits for the end of all work, which nothing reports. */
const settled = 500

async function round(index: number): Promise<void> {
  const device = openDevice("cuda:0")
  const streams = Array.from({ length: 8 }, () => device.createStream())
  const events = streams.map((stream) => stream.record())
  const arrays = streams.map((stream) => stream.run(() => device.full("float32", 1 << 20, 1)))
  const pinned = device.pinned("float32", 1 << 16)
  const zeros = device.zeros("float32", 1 << 16)
  pinned.copyFrom(zeros)
  await device.completed()
  // Every second round leaves it to the device to dispose of what was made from it.
  if (index % 2 === 0) for (const made of [...events, ...arrays, ...streams, pinned, zeros]) made.dispose()
  device.dispose()
}

await round(0)
await after(settled)
const before = driver().freeMemory()
for (let i = 0; i < rounds; i++) await round(0)
await after(settled)
console.log(JSON.stringify({ rounds, takenGrowth: before - driver().freeMemory() }))
