# Completion of docusign-refresh for bash. Checked against --help by tests/suite/manual.rs.

_docusign_refresh() {
    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]}
    local words=''
    # bash takes --option=value apart, into three words.
    if [ "$word" = = ]; then
        word=''
    elif [ "$before" = = ]; then
        before=${COMP_WORDS[COMP_CWORD - 2]}
    fi
    case $before in
        --environment) words='demo production' ;;
        --client-auth) words='client_secret_basic client_secret_basic_raw client_secret_post none' ;;
        --access-token-format) words='token header env' ;;
        --print) words='access-token refresh-token header tokens status' ;;
        --token-endpoint | --param | --header | --client-id | --min-ttl | --timeout | --lock-timeout | --proxy | --publish-secret) ;;
        --authorization-endpoint | --redirect-uri | --scope) ;;
        --client-secret-file | --client-cert | --client-key | --ca-file | --access-token-file)
            mapfile -t COMPREPLY < <(compgen -f -- "$word")
            return
            ;;
        *)
            if [[ $word != -* ]]; then
                # The verb stands before the token file.
                case " ${COMP_WORDS[*]:1:COMP_CWORD - 1} " in
                    *' login '*) ;;
                    *) words=login ;;
                esac
                mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word"; compgen -f -- "$word")
                return
            fi
            words='--environment --token-endpoint --param --header --client-id --client-secret-file
                --client-auth --client-cert --client-key --min-ttl --timeout --lock-timeout --no-replay --dry-run
                --ca-file --proxy --redirect-uri --scope --authorization-endpoint --userinfo --print
                --access-token-file --access-token-format --publish-secret --quiet --verbose --help --version
                -q -v -h -V'
            ;;
    esac
    mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word")
}

complete -o filenames -F _docusign_refresh docusign-refresh
