package web

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"syscall"
	"time"
)

// The server's limits. A tracking request is small and answered within Patience, so a connection that takes longer is
// broken or hostile.
const (
	readTimeout  = 10 * time.Second
	writeTimeout = 20 * time.Second
	idleTimeout  = 2 * time.Minute
	maxHeader    = 16 << 10
	// drainTimeout is how long requests under way may take once the process stops.
	drainTimeout = 10 * time.Second
)

// Listen opens addr (host:port) for ServeListener. Its error says how to mend it when addr can't be used.
func Listen(ctx context.Context, addr string) (net.Listener, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", addr)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("listen on %s: another process uses it\n  stop that one, or choose another port", addr)
	case errors.Is(err, syscall.EACCES):
		return nil, fmt.Errorf("listen on %s: not allowed; ports below 1024 need a privilege\n  choose a port above 1023 behind a proxy", addr)
	case err != nil:
		return nil, fmt.Errorf("listen on %s: %w", addr, err)
	}
	return l, nil
}

// ServeListener answers on the listener until ctx ends, and closes it; requests under way are then finished, for ten
// seconds at most. It returns nil after such an end.
func ServeListener(ctx context.Context, l net.Listener, handler http.Handler) error {
	s := &http.Server{
		Handler:     handler,
		ReadTimeout: readTimeout, ReadHeaderTimeout: readTimeout / 2,
		WriteTimeout: writeTimeout, IdleTimeout: idleTimeout,
		MaxHeaderBytes: maxHeader,
		ErrorLog:       log.New(io.Discard, "", 0), // its lines name the addresses of strangers
	}
	stopped := make(chan error, 1)
	go func() { stopped <- s.Serve(l) }()
	select {
	case err := <-stopped:
		return fmt.Errorf("serve on %s: %w", l.Addr(), err)
	case <-ctx.Done():
	}
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTimeout)
	defer cancel()
	err := s.Shutdown(drain)
	if err != nil {
		err = errors.Join(fmt.Errorf("requests on %s did not end in time: %w", l.Addr(), err), s.Close())
	}
	<-stopped //nolint:errcheck // http.ErrServerClosed
	return err
}
