#include <math.h>
#include <stddef.h>

/* y = tanh(x) and dx = upstream (1 - y y), for n numbers one behind the other. */
void tanh_both(const double *x, const double *upstream, double *y, double *dx, size_t n) {
    for (size_t i = 0; i < n; i++) {
        y[i] = tanh(x[i]);
        dx[i] = upstream[i] * (1 - y[i] * y[i]);
    }
}
