import { once } from "node:events"
import { fileURLToPath } from "node:url"
import { Worker } from "node:worker_threads"
import { Piscina } from "piscina"
import { Tinypool } from "tinypool"

/** Another library that runs tasks on worker threads. */
export interface Peer {
  readonly name: string
  /** Runs the task of task.ts on a thread. */
  run(): Promise<unknown>
  close(): Promise<void>
}

const task = fileURLToPath(new URL("task.js", import.meta.url))

/** The peers, each with as many threads, started and idle. */
export async function startPeers(threads: number): Promise<Peer[]> {
  const peers = [piscina(threads), tinypool(threads), await postMessage(threads)]
  for (const peer of peers) await Promise.all(Array.from({ length: 2 * threads }, () => peer.run()))
  return peers
}

function piscina(threads: number): Peer {
  const pool = new Piscina({ filename: task, minThreads: threads, maxThreads: threads })
  return { name: "piscina", run: () => pool.run(undefined), close: () => pool.destroy() }
}

function tinypool(threads: number): Peer {
  const pool = new Tinypool({ filename: task, minThreads: threads, maxThreads: threads, runtime: "worker_threads" })
  return { name: "tinypool", run: () => pool.run(undefined), close: () => pool.destroy() }
}

/** One message to a worker and one back, workers alternately: the least cost of any pool that uses messages. */
async function postMessage(threads: number): Promise<Peer> {
  const workers = Array.from({ length: threads }, () => new Worker(new URL("echo.js", import.meta.url)))
  await Promise.all(workers.map((worker) => once(worker, "online")))
  const waiting = workers.map((worker) => {
    const resolvers: (() => void)[] = []
    // Answers come in the order of the messages.
    worker.on("message", () => resolvers.shift()?.())
    return resolvers
  })
  let next = 0
  return {
    name: "postMessage",
    run: () =>
      new Promise<void>((resolve) => {
        const index = next++ % threads
        waiting[index]?.push(resolve)
        workers[index]?.postMessage(undefined)
      }),
    close: async () => {
      await Promise.all(workers.map((worker) => worker.terminate()))
    },
  }
}
