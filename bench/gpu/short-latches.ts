/**
 * Imported before a suite that runs under a sanitizer. There, tests that hold a latch often block until the latch's own time
 * limit, and fail: under either tool `cuStreamDestroy`, and `cuStreamQuery` of a stream that is not held, returned only when
 * the latch had timed out (measured on an H200, driver 580; without a tool no call of that suite takes 40 ms once the device
 * is open). The tool still checks the work of these tests, as long as the blocking leaves time for it.
 */

import { latch } from "../../test/support/kernels.js"

/** Long enough for the tests that pass under a sanitizer. */
const mostMilliseconds = 4000

const launch = latch.launch.bind(latch)
latch.launch = (options, flags, milliseconds) => launch(options, flags, Math.min(milliseconds, mostMilliseconds))
