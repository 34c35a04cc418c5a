/** Runs the kernels of a .cu file on the GPU if there is one, otherwise their JavaScript versions on worker threads. */

import { openDevice } from "auxstream"
import { filters, run } from "./filters.js"

const device = openDevice()
const { sum, clipped } = await run(device)
console.log(`The sum is ${sum}; ${clipped} values were clipped.`)
filters.dispose()
device.dispose()
