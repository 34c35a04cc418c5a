import type { LaunchLimits } from "../driver.js"

/** CUDA's, so that a program that runs here runs there. */
export const LIMITS: LaunchLimits = {
  threadsPerBlock: 1024,
  block: [1024, 1024, 64],
  grid: [2147483647, 65535, 65535],
  sharedMemory: 232448,
}
