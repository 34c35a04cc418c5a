/**
 * Imported ahead of a suite that is watched by a sanitizer. Tests that hold a latch often wait for the latch's own time
 * limit there, and fail: under either tool `cuStreamQuery` of another stream than the held one, and `cuStreamDestroy`,
 * came back only when the latch had timed out (measured on an H200, driver 580; without a tool no call of that suite
 * takes 40 ms once the device is open). What they make the GPU do is watched all the same, if that waiting does not take
 * all the time there is.
 */

import { latch } from "../../test/support/kernels.js"

/** Long enough for a test that the sanitizer lets pass. */
const mostMilliseconds = 4000

const launch = latch.launch.bind(latch)
latch.launch = (options, flags, milliseconds) => launch(options, flags, Math.min(milliseconds, mostMilliseconds))
