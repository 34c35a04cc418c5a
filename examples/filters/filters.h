#pragma once

/** A line: value i is first + i * step. */
struct Line {
  int n;
  float first;
  float step;
};
