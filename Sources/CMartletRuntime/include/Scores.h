/// What generated code for a block of attention's scores is told.
#ifndef MARTLET_SCORES_H
#define MARTLET_SCORES_H

#include <stdint.h>

/// Some rows of scores against a block of keys, and what is kept for each row from block to block: the greatest score
/// so far, the sum of the exponentials of all scores less that one, and the products of those with the values.
///
/// Strides are distances between rows in elements.
typedef struct {
  float *scores;
  int64_t stride;
  int64_t rows;
  int64_t columns;
  /// What is added to the scores, as the code was generated: nothing, one element for each, or one for each row.
  const float *mask;
  int64_t mask_stride;
  float scale;
  /// 1 for the first block of keys, before which nothing is kept.
  int32_t is_first;
  float *maxima;
  float *sums;
  float *results;
  int64_t result_stride;
  int64_t result_columns;
} martlet_scores;

#endif
