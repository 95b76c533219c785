/*
 * What a list costs most: sums of rows, products of factors, blending, and the best of many.
 *
 * Called through native.py, which checks types, shapes and row numbers; what is read from model
 * files beyond these (columns of sparse rows) is checked here. No function allocates, keeps state or
 * starts a thread, so any number of threads may call at once.
 *
 * Results are those of IEEE arithmetic in the order written: what is said to be so "bit for bit" does
 * not depend on the processor. Products of factors alone may fuse multiplication and addition.
 */
#include <float.h>
#include <math.h>
#include <stdint.h>
#include <string.h>
#if defined(__x86_64__)
#include <cpuid.h>
#endif

#pragma STDC FP_CONTRACT OFF

#define INLINE static inline __attribute__((always_inline))
#define TILE 16384 /* columns of which sums stay in a core's own cache */
#define FETCHED 256 /* cells of a row, while the one before it is added up */
#define LANES 8
#define MAX_PARTS 64
#define CACHE_LINE 16 /* floats */

typedef float floats __attribute__((vector_size(32)));
typedef double doubles __attribute__((vector_size(32)));

/* Whether the library that was compiled for x86-64-v3 (AVX2, FMA; 2013) runs on this processor. */
int knows_v3(void)
{
#if defined(__x86_64__)
    const unsigned basic = bit_FMA | bit_MOVBE | bit_OSXSAVE | bit_AVX | bit_F16C;
    const unsigned more = bit_AVX2 | bit_BMI | bit_BMI2;
    unsigned a, b, c, d, low, high;
    if (!__get_cpuid(1, &a, &b, &c, &d) || (c & basic) != basic)
        return 0;
    __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0)); /* whether the system keeps the registers */
    if ((low & 6) != 6 || !__get_cpuid_count(7, 0, &a, &b, &c, &d) || (b & more) != more)
        return 0;
    return __get_cpuid(0x80000001, &a, &b, &c, &d) && (c & bit_LZCNT);
#else
    return 0;
#endif
}

/* ---------------------------------------------------------------- sums of rows of a CSR matrix */

/*
 * For each reader the rows of their books, added up by weights and divided by a total, in double;
 * -inf where that is 0 as a float. `cursors` is of as many numbers as any reader has rows.
 *
 * Returns 1 where there is no such row, 2 where rows lie outside the matrix, or columns outside or
 * do not ascend; what was written is then of no use.
 */
int sums_of_rows(int64_t n_readers, const int64_t *first_row, const int32_t *rows,
                 const float *weights, const double *totals, int64_t *cursors, int64_t n_rows,
                 int64_t n_cells, const int64_t *starts, const int32_t *columns, const float *data,
                 float *out)
{
    double sums[TILE];
    for (int64_t reader = 0; reader < n_readers; reader++, out += n_rows) {
        const int64_t n = first_row[reader + 1] - first_row[reader];
        const int32_t *mine = rows + first_row[reader];
        const float *weighing = weights + first_row[reader];
        const double total = totals[reader];
        for (int64_t i = 0; i < n; i++) {
            if (mine[i] < 0 || mine[i] >= n_rows)
                return 1;
            cursors[i] = starts[mine[i]];
            if (cursors[i] < 0 || starts[mine[i] + 1] < cursors[i] || starts[mine[i] + 1] > n_cells)
                return 2;
        }
        for (int64_t first = 0; first < n_rows; first += TILE) {
            const uint32_t size = (uint32_t)(n_rows - first < TILE ? n_rows - first : TILE);
            memset(sums, 0, size * sizeof *sums);
            for (int64_t i = 0; i < n; i++) {
                const double weight = weighing[i];
                const int64_t stop = starts[mine[i] + 1];
                for (int64_t ahead = 0; i + 1 < n && ahead < FETCHED; ahead += CACHE_LINE) {
                    __builtin_prefetch(columns + cursors[i + 1] + ahead);
                    __builtin_prefetch(data + cursors[i + 1] + ahead);
                }
                int64_t at = cursors[i];
                for (; at < stop; at++) {
                    const uint32_t column = (uint32_t)columns[at] - (uint32_t)first;
                    if (column >= size)
                        break;
                    sums[column] += weight * data[at];
                }
                cursors[i] = at;
            }
            if (total != 1)
                for (uint32_t i = 0; i < size; i++)
                    sums[i] /= total;
            for (uint32_t i = 0; i < size; i++) {
                const float sum = (float)sums[i];
                out[first + i] = sum == 0 ? -INFINITY : sum;
            }
        }
        for (int64_t i = 0; i < n; i++)
            if (cursors[i] != starts[mine[i] + 1])
                return 2;
    }
    return 0;
}

/*
 * The cells of some rows in some columns, 0 where there is none; out is (n_columns, n_asked).
 *
 * Returns 1 where there is no such row or column, 2 where rows lie outside the matrix.
 */
int cells_of_rows(int64_t n_asked, const int32_t *rows, int64_t n_columns, const int32_t *columns,
                  int64_t n_rows, int64_t n_cells, const int64_t *starts, const int32_t *indices,
                  const float *data, float *out)
{
    for (int64_t j = 0; j < n_columns; j++)
        if (columns[j] < 0 || columns[j] >= n_rows)
            return 1;
    for (int64_t i = 0; i < n_asked; i++) {
        if (rows[i] < 0 || rows[i] >= n_rows)
            return 1;
        const int64_t start = starts[rows[i]], stop = starts[rows[i] + 1];
        if (start < 0 || stop < start || stop > n_cells)
            return 2;
        for (int64_t j = 0; j < n_columns; j++) {
            int64_t at = start, left = stop - start;
            while (left > 0) { /* the first that is not below */
                const int64_t half = left / 2;
                const int below = indices[at + half] < columns[j];
                at = below ? at + half + 1 : at;
                left = below ? left - half - 1 : half;
            }
            out[j * n_asked + i] = at < stop && indices[at] == columns[j] ? data[at] : 0;
        }
    }
    return 0;
}

/* ------------------------------------------------------------------------- products of factors */

INLINE floats some_floats(const float *from, int64_t n)
{
    floats lanes = {0};
    memcpy(&lanes, from, (size_t)(n < LANES ? n : LANES) * sizeof *from);
    return lanes;
}

/* The sum of the lanes of each of eight. */
INLINE floats sums_of_floats(const floats of[LANES])
{
    floats pairs[4], fours[2];
    for (int i = 0; i < 4; i++) {
        const floats a = of[2 * i], b = of[2 * i + 1];
        pairs[i] = __builtin_shufflevector(a, b, 0, 2, 8, 10, 4, 6, 12, 14) +
                   __builtin_shufflevector(a, b, 1, 3, 9, 11, 5, 7, 13, 15);
    }
    for (int i = 0; i < 2; i++) {
        const floats a = pairs[2 * i], b = pairs[2 * i + 1];
        fours[i] = __builtin_shufflevector(a, b, 0, 2, 8, 10, 4, 6, 12, 14) +
                   __builtin_shufflevector(a, b, 1, 3, 9, 11, 5, 7, 13, 15);
    }
    return __builtin_shufflevector(fours[0], fours[1], 0, 1, 2, 3, 8, 9, 10, 11) +
           __builtin_shufflevector(fours[0], fours[1], 4, 5, 6, 7, 12, 13, 14, 15);
}

/* Products of some books with some readers, at most eight; both numbers known to the compiler. */
INLINE void tile_of_products(const int books, const int readers, const float *factors,
                             const float *tastes, int64_t size, int64_t n_books, float *out)
{
#pragma STDC FP_CONTRACT ON
    floats sums[LANES] = {{0}};
    int64_t at = 0;
    for (; at + LANES <= size; at += LANES)
        for (int reader = 0; reader < readers; reader++)
            for (int book = 0; book < books; book++)
                sums[reader * books + book] += some_floats(factors + book * size + at, LANES) *
                                               some_floats(tastes + reader * size + at, LANES);
    if (at < size)
        for (int reader = 0; reader < readers; reader++)
            for (int book = 0; book < books; book++)
                sums[reader * books + book] += some_floats(factors + book * size + at, size - at) *
                                               some_floats(tastes + reader * size + at, size - at);
    const floats found = sums_of_floats(sums);
    for (int reader = 0; reader < readers; reader++)
        for (int book = 0; book < books; book++)
            out[reader * n_books + book] = found[reader * books + book];
}

/* Of `n` books; meanwhile each `share`-th piece of those after them is fetched from memory. */
INLINE void block_of_products(const int books, const int readers, const float *factors,
                              const float *tastes, int64_t size, int64_t n, int64_t n_books,
                              int64_t group, int64_t share, float *out)
{
    const float *next = factors + n * size + group * CACHE_LINE;
    int64_t book = 0;
    for (; book + books <= n; book += books) {
        for (int64_t at = 0; share && at < books * size; at += share * CACHE_LINE)
            __builtin_prefetch(next + book * size + at);
        tile_of_products(books, readers, factors + book * size, tastes, size, n_books, out + book);
    }
    for (; book < n; book++)
        tile_of_products(1, readers, factors + book * size, tastes, size, n_books, out + book);
}

/*
 * Products of every book's factors with every reader's; out is (n_readers, n_books). Books are taken
 * in blocks that stay in a core's own cache while one reader after another is at it. The order of a
 * sum is the same however many readers are asked about.
 */
void
products(int64_t n_books, int64_t n_readers, int64_t size, const float *factors,
         const float *tastes, float *out)
{
    const int64_t block = 2 + 32768 / (size + 1), groups = n_readers / 4;
    for (int64_t first = 0; first < n_books; first += block) {
        const int64_t n = n_books - first < block ? n_books - first : block;
        const int64_t share = first + 2 * block <= n_books ? groups : 0;
        const float *books = factors + first * size;
        int64_t reader = 0;
        for (; reader + 4 <= n_readers; reader += 4)
            block_of_products(2, 4, books, tastes + reader * size, size, n, n_books, reader / 4,
                              share, out + reader * n_books + first);
        for (; reader < n_readers; reader++)
            block_of_products(8, 1, books, tastes + reader * size, size, n, n_books, 0, 0,
                              out + reader * n_books + first);
    }
}

/* ------------------------------------------------------------------------- factors of a reader */

/* sums[a][b] = sum over some rows of row[i + a] * row[j + b]. */
INLINE void tile_of_squares(const double *rows, int64_t n_rows, int64_t wide, int64_t i, int64_t j,
                            double sums[4][8])
{
#pragma STDC FP_CONTRACT ON
    doubles lanes[4][2] = {{{0}}};
    for (int64_t row = 0; row < n_rows; row++) {
        const double *left = rows + row * wide + i;
        doubles right[2];
        memcpy(right, rows + row * wide + j, sizeof right);
        for (int a = 0; a < 4; a++)
            for (int b = 0; b < 2; b++)
                lanes[a][b] += left[a] * right[b];
    }
    memcpy(sums, lanes, sizeof lanes);
}

/* matrix += rows^T rows, its upper triangle; `wide`, the length of a row, is a multiple of 8. */
INLINE void add_squares(double *restrict matrix, int64_t wide, const double *restrict rows,
                        int64_t n_rows)
{
    double sums[4][8];
    for (int64_t i = 0; i < wide; i += 4)
        for (int64_t j = i / 8 * 8; j < wide; j += 8) {
            tile_of_squares(rows, n_rows, wide, i, j, sums);
            for (int a = 0; a < 4; a++)
                for (int b = 0; b < 8; b++)
                    matrix[(i + a) * wide + j + b] += sums[a][b];
        }
}

/*
 * Solves a symmetric system in place, by Cholesky: the first `n` columns are the upper triangle of
 * the matrix, column `n` is the right side and then the solution. Rows and columns come to `wide`, a
 * multiple of 8; those from `n` on must be there.
 */
INLINE void solve(double *matrix, int64_t wide, int64_t n)
{
#pragma STDC FP_CONTRACT ON
    double sums[4][8];
    for (int64_t i = 0; i < n; i += 4) {
        double *panel = matrix + i * wide;
        for (int64_t j = i / 8 * 8; j < wide; j += 8) {
            tile_of_squares(matrix, i, wide, i, j, sums);
            for (int a = 0; a < 4; a++)
                for (int b = 0; b < 8; b++)
                    panel[a * wide + j + b] -= sums[a][b];
        }
        for (int a = 0; a < 4 && i + a < n; a++) {
            double *restrict pivot = panel + a * wide;
            const double scale = 1 / sqrt(pivot[i + a]);
            for (int64_t j = i / 8 * 8; j < wide; j++)
                pivot[j] *= scale;
            for (int below = a + 1; below < 4; below++) {
                double *restrict row = panel + below * wide;
                const double factor = pivot[i + below];
                for (int64_t j = i / 8 * 8; j < wide; j++)
                    row[j] -= factor * pivot[j];
            }
        }
    }
    for (int64_t i = n - 1; i >= 0; i--) {
        double *row = matrix + i * wide;
        double rest = row[n];
        for (int64_t j = i + 1; j < n; j++)
            rest -= row[j] * matrix[j * wide + n];
        row[n] = rest / row[i];
    }
}

/*
 * The factors x of a reader: (I + Z^T D Z) x = Z^T (1 + d), where the rows of Z are those of the
 * liked books, and D is diagonal with d, the confidence above 1, which is positive.
 *
 * Of fewer books than factors, the system over books is the smaller one: with S = D^(1/2),
 * x = Z^T S (I + S Z Z^T S)^-1 S^-1 (1 + d). `work` is of 2 p^2 doubles, where p is the least
 * multiple of 8 above `size`, the number of factors.
 */
INLINE void factors_of_reader(int64_t size, const float *factors, int64_t n, const int32_t *nums,
                              const double *above, double *work, float *taste)
{
    const int by_books = n < size;
    const int64_t order = by_books ? n : size, wide = order / 8 * 8 + 8;
    double *restrict matrix = work, *restrict rows = work + wide * wide;
    memset(matrix, 0, (size_t)(wide * wide) * sizeof *matrix);
    for (int64_t i = 0; i < wide; i++)
        matrix[i * wide + i] = 1;
    if (by_books) { /* a column a book */
        memset(rows, 0, (size_t)(size * wide) * sizeof *rows);
        for (int64_t i = 0; i < n; i++) {
            const double scale = sqrt(above[i]);
            const float *book = factors + nums[i] * size;
            for (int64_t f = 0; f < size; f++)
                rows[f * wide + i] = scale * book[f];
            matrix[i * wide + order] = (1 + above[i]) / scale;
        }
        add_squares(matrix, wide, rows, size);
    }
    for (int64_t first = 0; !by_books && first < n; first += wide) { /* a row a book, some at once */
        const int64_t some = n - first < wide ? n - first : wide;
        memset(rows, 0, (size_t)(some * wide) * sizeof *rows);
        for (int64_t i = 0; i < some; i++) {
            const double scale = sqrt(above[first + i]);
            const float *book = factors + nums[first + i] * size;
            for (int64_t f = 0; f < size; f++)
                rows[i * wide + f] = scale * book[f];
            rows[i * wide + order] = (1 + above[first + i]) / scale;
        }
        add_squares(matrix, wide, rows, some);
    }
    solve(matrix, wide, order);
    double *restrict x = rows;
    for (int64_t f = 0; f < size; f++)
        x[f] = by_books ? 0 : matrix[f * wide + order];
    for (int64_t i = 0; by_books && i < n; i++) {
        const double weight = sqrt(above[i]) * matrix[i * wide + order];
        const float *book = factors + nums[i] * size;
        for (int64_t f = 0; f < size; f++)
            x[f] += weight * book[f];
    }
    for (int64_t f = 0; f < size; f++)
        taste[f] = (float)x[f];
}

/* The same for each reader; tastes is (n_readers, size). */
void
factors_of_readers(int64_t n_readers, int64_t size, const float *factors, const int64_t *first_book,
                   const int32_t *nums, const double *above, double *work, float *tastes)
{
    for (int64_t reader = 0; reader < n_readers; reader++) {
        const int64_t first = first_book[reader], n = first_book[reader + 1] - first;
        factors_of_reader(size, factors, n, nums + first, above + first, work,
                          tastes + reader * size);
    }
}

/* ------------------------------------------------------------------------------------ blending */

typedef struct {
    float low, scale; /* 1 / (most - low), 0 where all are equal, or as good as equal */
    float weight;
    const float *scores;
} said;

/* Least and most of the finite scores of books whose mask is 0 and not -inf. */
INLINE void range_of(const float *scores, const float *mask, int64_t n, float *low, float *high)
{
    float least[16], most[16];
    for (int lane = 0; lane < 16; lane++)
        least[lane] = INFINITY, most[lane] = -INFINITY;
    int64_t i = 0;
    for (; i + 16 <= n; i += 16)
        for (int lane = 0; lane < 16; lane++) {
            const float score = scores[i + lane] + mask[i + lane];
            const float known = score == -INFINITY ? INFINITY : score;
            least[lane] = known < least[lane] ? known : least[lane];
            most[lane] = score > most[lane] ? score : most[lane];
        }
    for (; i < n; i++) {
        const float score = scores[i] + mask[i];
        const float known = score == -INFINITY ? INFINITY : score;
        least[0] = known < least[0] ? known : least[0];
        most[0] = score > most[0] ? score : most[0];
    }
    *low = INFINITY, *high = -INFINITY;
    for (int lane = 0; lane < 16; lane++) {
        *low = least[lane] < *low ? least[lane] : *low;
        *high = most[lane] > *high ? most[lane] : *high;
    }
}

/* The means of some books, their number known to the compiler. */
INLINE void means_of(const int books, const said *heard, int n_heard, float total, float silence,
                     int64_t first, float *out)
{
    float sums[16], mute[16];
    for (int book = 0; book < books; book++)
        sums[book] = 0, mute[book] = silence;
    for (int part = 0; part < n_heard; part++) {
        const float *scores = heard[part].scores + first;
        const float low = heard[part].low, scale = heard[part].scale, weight = heard[part].weight;
        for (int book = 0; book < books; book++) {
            const float score = scores[book];
            float unit = (score - low) * scale;
            unit = unit < 0 ? 0 : unit;
            unit = unit > 1 ? 1 : unit;
            unit = scale == 0 ? (score != -INFINITY ? 1 : 0) : sqrtf(unit);
            sums[book] += weight * unit;
            mute[book] = score != -INFINITY ? 0 : mute[book];
        }
    }
    for (int book = 0; book < books; book++)
        out[book] = sums[book] / total + mute[book];
}

/* Puts into `heard` which parts count for a reader, and `every` and `able`, the sums of weights. */
INLINE int heard_by(int64_t n_books, int n_parts, const float *const *scores, int64_t reader,
                    const double *weights, const uint8_t *knows_new, const float *mask, said *heard,
                    double *every, double *able)
{
    int n_heard = 0;
    *every = *able = 0;
    for (int part = 0; part < n_parts; part++) {
        float low, high;
        if (weights[part] == 0)
            continue;
        range_of(scores[part] + reader * n_books, mask, n_books, &low, &high);
        if (high == -INFINITY)
            continue;
        const float span = high - low;
        heard[n_heard++] = (said){low, span < FLT_MIN ? 0 : 1 / span, (float)weights[part],
                                  scores[part] + reader * n_books};
        *every += weights[part];
        *able += knows_new[part] ? weights[part] : 0;
    }
    return n_heard;
}

/*
 * For each reader the weighted mean of what parts say of all books, each on a scale from the least
 * to the most that it says of books not `seen`; see HybridRecommender. Parts that say nothing of any
 * such book do not count, nor do those of weight 0.
 *
 * `silence` is for books that no part speaks of. For the books `fresh`, the mean is one over the
 * parts that know new books, to the share `lift`. Of each reader, `knobs` times `thresholds` is taken
 * off unless it is 0. Returns for how many readers any part counts.
 */
int64_t blend(int64_t n_readers, int64_t n_books, int n_parts, const float *const *scores,
              const double *weights, const uint8_t *knows_new, const int64_t *first_seen,
              const int32_t *seen, const int32_t *fresh, int64_t n_fresh, double lift, float silence,
              const float *thresholds, const float *knobs, float *out)
{
    int64_t n_told = 0;
    for (int64_t reader = 0; reader < n_readers; reader++, out += n_books) {
        said heard[MAX_PARTS];
        double every, able;
        memset(out, 0, (size_t)n_books * sizeof *out); /* the mask, at first */
        for (int64_t i = first_seen[reader]; i < first_seen[reader + 1]; i++)
            out[seen[i]] = -INFINITY;
        const int n_heard = heard_by(n_books, n_parts, scores, reader, weights + reader * n_parts,
                                     knows_new, out, heard, &every, &able);
        n_told += n_heard > 0;
        const float total = (float)(every != 0 ? every : 1);
        int64_t book = 0;
        for (; book + LANES <= n_books; book += LANES)
            means_of(LANES, heard, n_heard, total, silence, book, out + book);
        means_of((int)(n_books - book), heard, n_heard, total, silence, book, out + book);
        const float lifts = (float)(able != 0 ? 1 + lift * (every / able - 1) : 1);
        for (int64_t i = 0; i < n_fresh; i++) {
            const float lifted = out[fresh[i]] * lifts;
            out[fresh[i]] = lifted > 1 ? 1 : lifted;
        }
        const float knob = knobs[reader];
        if (knob != 0)
            for (int64_t i = 0; i < n_books; i++)
                out[i] -= knob * thresholds[i];
    }
    return n_told;
}

/* --------------------------------------------------------------------------- the best of many */

INLINE int is_worse(const float *scores, int32_t one, int32_t other)
{
    return scores[one] < scores[other] || (scores[one] == scores[other] && one > other);
}

/* Lets the book at the root of a heap of `n`, the worst at its root, sink to its place. */
INLINE void sink(const float *scores, int32_t *heap, int64_t at, int64_t n)
{
    const int32_t book = heap[at];
    for (int64_t child; (child = 2 * at + 1) < n; at = child) {
        if (child + 1 < n && is_worse(scores, heap[child + 1], heap[child]))
            child++;
        if (!is_worse(scores, heap[child], book))
            break;
        heap[at] = heap[child];
    }
    heap[at] = book;
}

/* The at most `n` best finite scores, best first, ties by number; returns how many there are. */
int64_t
best(int64_t n_books, const float *scores, int64_t n, int32_t *nums)
{
    int64_t found = 0, book = 0;
    if (n < 1)
        return 0;
    for (; book < n_books && found < n; book++)
        if (isfinite(scores[book]))
            nums[found++] = (int32_t)book;
    for (int64_t at = found / 2 - 1; at >= 0; at--)
        sink(scores, nums, at, found);
    while (book < n_books) {
        const float least = scores[nums[0]];
        if (book + 32 <= n_books) { /* most often none of so many is good enough */
            int any = 0;
            for (int lane = 0; lane < 32; lane++)
                any |= scores[book + lane] > least;
            if (!any) {
                book += 32;
                continue;
            }
        }
        const int64_t stop = book + 32 <= n_books ? book + 32 : n_books;
        for (; book < stop; book++)
            if (scores[book] > scores[nums[0]] && isfinite(scores[book])) {
                nums[0] = (int32_t)book;
                sink(scores, nums, 0, found);
            }
    }
    for (int64_t left = found - 1; left > 0; left--) { /* the worst goes to the end */
        const int32_t worst = nums[0];
        nums[0] = nums[left];
        nums[left] = worst;
        sink(scores, nums, 0, left);
    }
    return found;
}
