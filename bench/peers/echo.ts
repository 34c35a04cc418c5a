/** The worker of the bare round trips: runs the pools' task for each message, and answers. */

import { parentPort } from "node:worker_threads"
import increment from "./task.js"

parentPort?.on("message", () => {
  increment()
  parentPort?.postMessage(undefined)
})
