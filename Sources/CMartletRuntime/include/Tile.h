/// What generated code for a tile of a matrix product is told.
#ifndef MARTLET_TILE_H
#define MARTLET_TILE_H

#include <stdint.h>

/// c = activation(addend + bias + a · b), for a few rows of a and one panel of b, and again for the rows behind them.
///
/// Strides are distances between rows in elements; for an a that is stored by columns, between columns.
typedef struct {
  /// How many tiles are computed, one below the other.
  int64_t count;
  const float *a;
  int64_t a_stride;
  /// The panel: for each step of the summed dimension as many elements as the tile is wide.
  const float *b;
  /// Where b is no panel, the distance between its rows in elements.
  int64_t b_stride;
  float *c;
  int64_t c_stride;
  /// What the sum starts from; NULL for zeros. It may be c.
  const float *addend;
  int64_t addend_stride;
  /// The addend of the tile after the last, which is fetched; may be NULL.
  const float *next_addend;
  /// One element for each column; may be NULL.
  const float *bias;
  /// The length of the summed dimension.
  int64_t depth;
  /// How many of the panel's columns there are in c, addend and bias.
  int64_t columns;
  /// Memory that will be wanted soon, to be brought into the cache on the way, so many bytes with each tile. The first line is
  /// asked for in any case, so that it must be there.
  const uint8_t *ahead;
  const uint8_t *ahead_end;
  int64_t ahead_piece;
  /// 1 if the sum is complete, so that the activation is due.
  int64_t is_last;
} martlet_tile;

#endif
