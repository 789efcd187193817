package node

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"

	"github.com/hibiken/asynq"
)

// parseRedis reads what --redis takes: host:port, or a redis:// or rediss://
// (TLS) URL with password and database. Its errors never repeat the value, not
// even in part: it may hold a password. What asynq would pass over in silence
// is an error, so that nobody believes in an option that has no effect.
func parseRedis(value string) (asynq.RedisClientOpt, error) {
	if !strings.Contains(value, "://") {
		host, port, err := net.SplitHostPort(value)
		if err != nil || port == "" || strings.ContainsAny(host, "@/") {
			return asynq.RedisClientOpt{}, errors.New("is neither host:port nor a redis:// or rediss:// URL")
		}
		return asynq.RedisClientOpt{Addr: value}, nil
	}
	u, err := url.Parse(value)
	if err != nil {
		return asynq.RedisClientOpt{}, errors.New("is not a URL: write what is special in user and password as %XX")
	}
	password, _ := u.User.Password()
	switch {
	case u.Scheme != "redis" && u.Scheme != "rediss":
		return asynq.RedisClientOpt{}, errors.New("is a URL of another kind than redis:// or rediss://")
	case u.Hostname() == "" || u.Port() == "":
		return asynq.RedisClientOpt{}, errors.New("is a URL without host:port")
	case u.RawQuery != "" || u.Fragment != "":
		return asynq.RedisClientOpt{}, errors.New("is a URL with more than user, password, host, port and database")
	case u.User != nil && password == "":
		return asynq.RedisClientOpt{}, errors.New("is a URL with a user and no password: write :password@ for a password alone")
	}
	conn, err := asynq.ParseRedisURI(value)
	opt, ok := conn.(asynq.RedisClientOpt)
	if err != nil || !ok || opt.DB < 0 || strings.Count(u.Path, "/") > 1 {
		return asynq.RedisClientOpt{}, errors.New("is a URL whose path is not the number of a database")
	}
	opt.Username = u.User.Username() // asynq leaves it out
	return opt, nil
}

// redisFlag is parseRedis for the flag's value.
func redisFlag(value string) (asynq.RedisClientOpt, error) {
	opt, err := parseRedis(value)
	if err != nil {
		return opt, fmt.Errorf("--redis %w", err)
	}
	return opt, nil
}

// findQueue says where Redis is: the flag, else the running node's. Of the
// result only Addr may be shown.
func findQueue(g *group, flag string) (asynq.RedisClientOpt, error) {
	if flag != "" {
		return redisFlag(flag)
	}
	info, err := LoadInfo(g.opts.Dir)
	if err != nil {
		return asynq.RedisClientOpt{}, fmt.Errorf("no queue: give --redis; %w", err)
	}
	if info.Redis == "" {
		return asynq.RedisClientOpt{}, errors.New("no queue: give --redis")
	}
	opt, err := parseRedis(info.Redis)
	if err != nil {
		return opt, fmt.Errorf("node.json: redis %w; give --redis", err)
	}
	return opt, nil
}
